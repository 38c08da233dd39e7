-- Asks as several tokens in turn, and judges from the answers alone that no window held more than its
-- limit. wrk does not tell which request an answer belongs to; the tokens' limits differ, so each answer's
-- `x-ratelimit-limit` tells whose it is.
--
-- An admission that opens a window says `remaining = limit - 1`, and within a window no two admissions say the
-- same. So, in whatever order answers come: no value of `remaining` may be seen more often than windows were
-- opened, and no more windows may open than follow each other in the time.

local ffi = require("ffi")
ffi.cdef [[
    typedef struct { long seconds, nanos; } limiter_time;
    int clock_gettime(int clock, limiter_time *time);
]]

local WINDOW_S = 2
local MONOTONIC = 1
local threads, requests, turn = {}, {}, 0
local time = ffi.new("limiter_time")

local function now_s()
    ffi.C.clock_gettime(MONOTONIC, time)
    return tonumber(time.seconds) + tonumber(time.nanos) / 1e9
end

-- `done` can read a thread's globals, and no tables: so each count is a global of its own.
local function count(name)
    _G[name] = (rawget(_G, name) or 0) + 1
end

function setup(thread)
    table.insert(threads, thread)
end

-- The arguments after `--` are the limits; the token of limit L is called tL.
function init(arguments)
    for place, limit in ipairs(arguments) do
        _G["limit " .. place], _G["known " .. limit] = limit, true
        requests[place] = wrk.format("GET", "/v1/deals", { ["x-api-token"] = "t" .. limit })
    end
end

function request()
    first_s = first_s or now_s()
    turn = turn % #requests + 1
    return requests[turn]
end

function response(status, headers)
    last_s = now_s()
    local limit, remaining = headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]
    if status == 200 and remaining and _G["known " .. limit] then
        count("admitted " .. limit .. " " .. remaining)
    elseif status == 429 and remaining == "0" and _G["known " .. limit] then
        count("refused " .. limit)
    else
        count("other " .. status)
    end
end

-- A count of all threads.
local function sum(name)
    local sum = 0
    for _, thread in ipairs(threads) do
        sum = sum + (thread:get(name) or 0)
    end
    return sum
end

local wrong = 0

local function expect(holds, what)
    if not holds then
        wrong = wrong + 1
        print("WRONG: " .. what)
    end
end

local function judge(limit, most_windows)
    local admitted = function(remaining) return sum("admitted " .. limit .. " " .. remaining) end
    local windows, full, refused, total = admitted(limit - 1), admitted(0), sum("refused " .. limit), 0
    for remaining = 0, limit - 1 do
        total = total + admitted(remaining)
        expect(admitted(remaining) <= windows, "limit " .. limit .. ": admitted more in a window than that")
    end
    print(string.format("limit %d: %d admitted in %d windows, %d full; %d refused",
        limit, total, windows, full, refused))
    expect(windows > 0, "limit " .. limit .. ": never admitted")
    expect(windows <= most_windows, "limit " .. limit .. ": a window was too short")
    expect(refused == 0 or full > 0, "limit " .. limit .. ": refused, and no window was full")
    return total + refused
end

function done(summary, latency)
    local from_s, to_s = math.huge, 0
    for _, thread in ipairs(threads) do
        from_s = math.min(from_s, thread:get("first_s") or math.huge)
        to_s = math.max(to_s, thread:get("last_s") or 0)
    end
    -- Windows do not overlap: each but the last has its whole length before the next one opens.
    local most_windows = math.floor((to_s - from_s) / WINDOW_S) + 1
    local answered, place = 0, 1
    while threads[1]:get("limit " .. place) do
        answered = answered + judge(tonumber(threads[1]:get("limit " .. place)), most_windows)
        place = place + 1
    end
    for status = 0, 999 do
        local count = sum("other " .. status)
        expect(count == 0, count .. " answers with status " .. status .. ", or of an unknown token")
        answered = answered + count
    end
    -- wrk counts every status above 399 as an error; those are judged above.
    for _, kind in ipairs({ "connect", "read", "write", "timeout" }) do
        expect(summary.errors[kind] == 0, summary.errors[kind] .. " errors: " .. kind)
    end
    expect(answered >= summary.requests, "answers were missed: " .. answered .. " of " .. summary.requests)
    print(string.format("%d answers, p50 %.0f, p99 %.0f microseconds",
        answered, latency:percentile(50), latency:percentile(99)))
    if wrong > 0 then
        os.exit(1)
    end
end
