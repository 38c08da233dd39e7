-- Gives permits back: to a token's window, known by its start, or to a user's day, known by its number
-- of refills (P2). Answers how many went back. Whether the window is still open is for the caller to
-- know; what goes back to one that has ended goes with it.
--
-- KEYS  the token's or the user's record, the calendar's, and one that this question alone has, for it
--       may come twice if a connection broke
-- ARGV  packed: 1 for a day, else 0; the start or the refills, the cost; when the calendar was born with
--       which they were taken, 0 for any
local VERSION = 3
local of_day, mark, cost, born_then = struct.unpack('>BI6I4I6', ARGV[1])
local record, calendar = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if not record or not calendar or string.byte(calendar) ~= VERSION or string.byte(record) ~= VERSION then return 0 end
local _, _, _, _, _, refills_now, born = struct.unpack('>BBI6I6I4I4I6', calendar)
if born_then ~= 0 and born_then ~= born then return 0 end
if not redis.call('SET', KEYS[3], '', 'NX', 'PX', 10000) then return 0 end
if of_day == 0 then
  local version, state, start, used, abuse_mark, offences, ends = struct.unpack('>BBI6I3I6I3I6', record)
  if state % 2 == 0 or start ~= mark then return 0 end
  local back = math.min(cost, used)
  local new = struct.pack('>BBI6I3I6I3I6', version, state, start, used - back, abuse_mark, offences, ends)
  redis.call('SET', KEYS[1], new, 'KEEPTTL')
  return back
end
local version, refills, used, strikes, last_strike, ends = struct.unpack('>BI4I4BI3I6', record)
if refills ~= mark or refills_now ~= refills then return 0 end
local back = math.min(cost, used)
local new = struct.pack('>BI4I4BI3I6', version, refills, used - back, strikes, last_strike, ends)
redis.call('SET', KEYS[1], new, 'KEEPTTL')
return back
