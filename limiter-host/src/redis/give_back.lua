-- Gives permits back: to a token's window, known by its start, or to a user's day, known by its number
-- of refills (P2). Answers how many went back.
--
-- KEYS  the token's record; or the user's and the calendar's
-- ARGV  packed: 1 to read the server's clock, else the moment, the window's length, the start or the refills, the cost
local server_clock, now, window_ms, mark, cost = struct.unpack('>BI6I4I6I4', ARGV[1])
local record = redis.call('GET', KEYS[1])
if not record then return 0 end
if #KEYS == 1 then
  if server_clock == 1 then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  end
  local version, state, start, used, abuse_mark, offences, ends = struct.unpack('>BBI6I3I6I3I6', record)
  local runs = state % 2 == 1 and now - start < window_ms and start - now < window_ms
  if not runs or start ~= mark then return 0 end
  local back = math.min(cost, used)
  local new = struct.pack('>BBI6I3I6I3I6', version, state, start, used - back, abuse_mark, offences, ends)
  redis.call('SET', KEYS[1], new, 'KEEPTTL')
  return back
end
local calendar = redis.call('GET', KEYS[2])
local version, refills, used, strikes, last_strike, ends = struct.unpack('>BI4I4BI3I6', record)
if not calendar or refills ~= mark then return 0 end
local _, _, _, _, _, refills_now = struct.unpack('>BBI6I6I4I4', calendar)
if refills_now ~= refills then return 0 end
local back = math.min(cost, used)
local new = struct.pack('>BI4I4BI3I6', version, refills, used - back, strikes, last_strike, ends)
redis.call('SET', KEYS[1], new, 'KEEPTTL')
return back
