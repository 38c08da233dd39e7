-- One decision (SPEC 3, O3 to O7), or a look at what it would be made from (P1).
--
-- KEYS  the token's record, the calendar's record and, if the request counts daily (D1), the user's
-- ARGV  the policy and the request, each packed; `packed.rs` has the other end
--
-- Answers the moment, and the records as the decision found them; then what was decided, and what
-- was granted ahead. The caller makes the same decision from the same records, and so knows all
-- that a response reports. Numbers are doubles here: every one of them is a whole number below 2^53.
local window_ms, daily_limit, daily_mode, tolerated, forgiven_after, block_offences, block_within,
  block_duration, extend_on_hit, utc_floor = struct.unpack('>I4I4BBI2I4I4I4BI5', ARGV[1])
local flags, limit, cost, now, utc, hold_ms, want_window, want_day, back_window, back_start, back_day,
  back_refills = struct.unpack('>BI4I4I6I5I4I4I4I4I6I4I4', ARGV[2])

local PEEK, OFFENDS, SERVER_CLOCK, PENDING = 1, 2, 4, 8
local function has(flag) return flags % (2 * flag) >= flag end
local UNKNOWN_UTC = 2 ^ 39
local DAY_MS, PACE_MS, NO_DAY, LAST_DAY = 86400000, 82800000, 4294967295, 6362914 * 675

-- SPEC 2: the server's one clock serves as both. Its reading stands still while a script runs.
if has(SERVER_CLOCK) then
  local time = redis.call('TIME')
  utc = tonumber(time[1])
  now = utc * 1000 + math.floor(tonumber(time[2]) / 1000)
end
if utc < utc_floor then utc = UNKNOWN_UTC end

local token, calendar, user = unpack(redis.call('MGET', unpack(KEYS)))
user = user or false
if has(PEEK) then return {now, utc, token, calendar, user} end
local counts_daily = #KEYS == 3
local stored_token, stored_user = token, user

-- The calendar takes the reading first (D6); a new day is told by its number of refills.
local paced, last_change, earliest_next, day_units, refills = 0, now, 0, NO_DAY, 0
if calendar then
  local version
  version, paced, last_change, earliest_next, day_units, refills = struct.unpack('>BBI6I6I4I4', calendar)
end
local function advance(to)                                            -- D10b
  if paced == 1 then
    if now < earliest_next then return end
    earliest_next = earliest_next + PACE_MS
  end
  if paced == 0 or earliest_next < now then earliest_next = now end
  paced, last_change, refills, day_units = 1, now, (refills + 1) % 4294967296, to
end
if last_change > now then last_change = now end                       -- D10c
if earliest_next > now + PACE_MS then earliest_next = now + PACE_MS end
local stale = now - last_change >= DAY_MS
if utc >= UNKNOWN_UTC then
  if stale then advance(day_units >= LAST_DAY and day_units or day_units + 675) end   -- D10
else
  local today = math.floor(utc / 86400) * 675
  if day_units == NO_DAY then                                         -- D7
    last_change, day_units = now, today
  elseif today > day_units or (today < day_units and stale) then      -- D8, D9
    advance(today)
  end
end

local open, blocked, start, used, mark, offences = 0, 0, 0, 0, 0, 0
if token then
  local version, state
  version, state, start, used, mark, offences = struct.unpack('>BBI6I3I6I3', token)
  open, blocked = state % 2, math.floor(state / 2)
end
local function pack_token()
  return struct.pack('>BBI6I3I6I3', 1, open + 2 * blocked, start, used, mark, offences)
end

local function offend(count, at)                                      -- B1, B2, B6
  local counting = offences > 0 and (mark > at or at - mark < block_within)
  if not counting then offences = 0 end
  if offences == 0 or mark > at then mark = at end
  offences = offences + count
  if offences >= block_offences then blocked, mark, offences = 1, at + block_duration, 0 end
end

local day_refills, day_used, strikes, last_strike = 0, 0, 0, 0
if user then
  local version
  version, day_refills, day_used, strikes, last_strike = struct.unpack('>BI4I4BI3', user)
end

-- What an instance held ahead, or refused by itself, comes first: the decision is made on what
-- is left after that.
if back_window > 0 and open == 1 and start == back_start then
  used = math.max(0, used - back_window)
  token = pack_token()
end
if back_day > 0 and day_refills == back_refills then
  day_used = math.max(0, day_used - back_day)
  user = struct.pack('>BI4I4BI3', 1, day_refills, day_used, strikes, last_strike)
end
if has(PENDING) and block_offences > 0 then
  local count, age, blocked_then, mark_then, offences_then, blocked_now, mark_now, offences_now =
    struct.unpack('>I4I4BI6I3BI6I3', ARGV[3])
  if blocked == blocked_then and mark == mark_then and offences == offences_then then
    blocked, mark, offences = blocked_now, mark_now, offences_now
  elseif blocked == 0 then
    offend(count, math.max(0, now - age))
  end
  token = pack_token()
end

local decided = 'admitted'
local granted_window, granted_day = 0, 0
if blocked == 1 and block_offences > 0 then                           -- O3
  if mark <= now then                                                 -- B4
    blocked, mark, offences = 0, 0, 0
  else
    if mark > now + block_duration or extend_on_hit == 1 then         -- B6, B3
      mark = now + block_duration
    end
    decided = 'blocked'
  end
end
if decided == 'admitted' then
  if open == 1 then
    if now - start >= window_ms then                                  -- W1
      open, start, used = 0, 0, 0
    elseif start - now >= window_ms then                              -- W6
      start = now
    end
  end
  if counts_daily and day_refills ~= refills then day_refills, day_used = refills, 0 end
  local window_fits = used + cost <= limit                            -- W2
  local day_fits = not counts_daily or day_used + cost <= daily_limit
  if not (window_fits and day_fits) then
    if cost > limit or (counts_daily and daily_mode == 0 and cost > daily_limit) then
      decided = 'cost_exceeds_limit'                                  -- O4
    else
      if not day_fits and daily_mode == 1 then
        day_fits = true
      elseif not day_fits and daily_mode == 2 then                    -- D3
        if (refills - last_strike) % 16777216 >= forgiven_after then strikes, last_strike = 0, 0 end
        if strikes == 0 or last_strike ~= refills % 16777216 then
          strikes, last_strike = math.min(255, strikes + 1), refills % 16777216
        end
        day_fits = strikes <= tolerated
      end
      if not day_fits then                                            -- O6
        decided = 'daily'
      elseif not window_fits then
        decided = 'window'
      end
      if decided ~= 'admitted' and has(OFFENDS) and block_offences > 0 then
        offend(1, now)                                                -- O7
      end
    end
  end
end
if decided == 'admitted' then                                         -- O5
  if open == 0 then open, start, used = 1, now, 0 end
  -- Ahead of need goes at most a tenth of what is left, so that others find the rest.
  granted_window = math.min(want_window, math.max(0, math.floor((limit - used - cost) / 10)))
  used = used + cost + granted_window
  if counts_daily then
    granted_day = math.min(want_day, math.max(0, math.floor((daily_limit - day_used - cost) / 10)))
    day_used = math.min(4294967295, day_used + cost + granted_day)
  end
end

-- What changed is written, each key with the time after which it says nothing any more.
local function store(key, record, ttl_ms)
  if hold_ms > 0 then ttl_ms = hold_ms end
  redis.call('SET', key, record, 'PX', ttl_ms)
end
local kept = 2 * DAY_MS
if daily_mode == 2 then kept = kept + forgiven_after * DAY_MS end
local new_calendar = struct.pack('>BBI6I6I4I4', 1, paced, last_change, earliest_next, day_units, refills)
if new_calendar ~= calendar then store(KEYS[2], new_calendar, kept + 2 * DAY_MS) end
if open == 0 and blocked == 0 and offences == 0 then
  if stored_token then redis.call('DEL', KEYS[1]) end
else
  local new_token = pack_token()
  if new_token ~= stored_token then
    local ttl_ms = 0
    if open == 1 then ttl_ms = start + 2 * window_ms - now end
    if blocked == 1 then ttl_ms = math.max(ttl_ms, mark - now) end
    if offences > 0 then ttl_ms = math.max(ttl_ms, mark + block_within - now) end
    store(KEYS[1], new_token, math.max(0, ttl_ms) + 1000)
  end
end
if counts_daily then
  local new_user = struct.pack('>BI4I4BI3', 1, day_refills, day_used, strikes, last_strike)
  if new_user ~= stored_user and (stored_user or day_used > 0 or strikes > 0) then
    store(KEYS[3], new_user, kept)
  end
end
return {now, utc, token, calendar, user, decided, granted_window, granted_day}
