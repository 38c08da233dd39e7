-- One decision (SPEC 3, O3 to O7), or a look at what it would be made from (P1).
--
-- KEYS  the token's record, the calendar's record and, if the request counts daily (D1), the user's; last,
--       with permits or offences that must not be taken in twice, one that this question alone has
-- ARGV  the request and the policy, packed; then what is rare: a moment to decide at and permits ahead
--       of need; then offences that another counted. `packed.rs` has the other end
--
-- Answers one string: the reading, what was decided, what was granted ahead, and the records as the
-- decision found them. The caller makes the same decision from the same records, and so knows all
-- that a response reports. Numbers are doubles here: every one of them is a whole number below 2^53.
--
-- This runs for every request, so nothing is read, packed or written that stays as it is.
local call, pack, unpack, byte = redis.call, struct.pack, struct.unpack, string.byte
local flags, limit, cost, window_ms, daily_limit, daily_mode, tolerated, forgiven_after, block_offences,
  block_within, block_duration, extend_on_hit, utc_floor = unpack('>BI4I4I4I4BBI2I4I4I4BI5', ARGV[1])
local peeks, offends, injected, fenced = flags % 2 == 1, flags % 4 >= 2, flags % 8 >= 4, flags % 16 >= 8
local immune, takes = flags % 32 >= 16, flags % 64 >= 32
local ADMITTED, WINDOW, DAILY, COST_EXCEEDS_LIMIT, BLOCKED, LOOKED, UNREADABLE, WAIT = 0, 1, 2, 3, 4, 5, 6, 7
local TOKEN, USER, CALENDAR, ANSWER = '>BBI6I3I6I3I6', '>BI4I4BI3I6', '>BBI6I6I4I4I6I6I6I6', '>I6I5BI4I4I6BBB'
local TOKEN_BYTES, USER_BYTES, CALENDAR_BYTES = 26, 19, 46
local VERSION, UNKNOWN_UTC, NO_DAY, SPAN_MS, LAST_MS = 3, 2 ^ 39, 4294967295, 2 ^ 36, 2 ^ 43 - 1
local HOUR_MS, PACE_MS, DAY_MS, FENCE_MS = 3600000, 82800000, 86400000, 300

local now, utc
local want_window, want_day, back_window, back_start, back_day, back_refills, back_born = 0, 0, 0, 0, 0, 0, 0
if ARGV[2] then
  now, utc, want_window, want_day, back_window, back_start, back_day, back_refills, back_born =
    unpack('>I6I5I4I4I4I6I4I4I6', ARGV[2])
end
-- SPEC 2: the server's one clock serves as both. Its reading stands still while a script runs.
if not injected then
  local time = call('TIME')
  utc = time[1] + 0
  local ms = time[2] / 1000
  now = utc * 1000 + (ms - ms % 1)
end
if utc < utc_floor then utc = UNKNOWN_UTC end

local once = flags >= 64 and KEYS[#KEYS]
local counts_daily = #KEYS == (once and 4 or 3)
local found = counts_daily and call('MGET', KEYS[1], KEYS[2], KEYS[3]) or call('MGET', KEYS[1], KEYS[2])
local token, calendar, user = found[1] or '', found[2] or '', found[3] or ''

-- A record of another layout or length says nothing that can be counted on. That of a token or a user
-- refuses its own requests alone, and ends once no record could count any more. A calendar begins anew.
local token_reads = token == '' or (#token == TOKEN_BYTES and byte(token) == VERSION)
local user_reads = user == '' or (#user == USER_BYTES and byte(user) == VERSION)
if not (token_reads and user_reads) then
  if not peeks then
    local function let_end(key, record, ms)
      if call('PTTL', key) == -1 then call('SET', key, record, 'PX', ms) end
    end
    if not token_reads then
      let_end(KEYS[1], token, 2 * window_ms + block_within + block_duration + 1000)
    end
    if not user_reads then let_end(KEYS[3], user, (2 + forgiven_after) * DAY_MS + HOUR_MS) end
  end
  return pack(ANSWER, now, utc, UNREADABLE, 0, 0, 0, 0, 0, 0)
end
if #calendar ~= CALENDAR_BYTES or byte(calendar) ~= VERSION then calendar = '' end
if peeks and not takes then
  return pack(ANSWER, now, utc, LOOKED, 0, 0, 0, #token, #calendar, #user) .. token .. calendar .. user
end
local stored_token, stored_user = token, user
local version

-- One time line first (M1 to M3): the reading becomes the time of the decision. The marks of both are
-- in one record: `head` is H, `shift` what is added to a reading, `outlier` F and 1, or 0.
local reading, moves = now, calendar == ''
local fed, last_change, earliest_next, day, refills, born = 0, 0, 0, NO_DAY, 0, now
local head, shift, outlier = now, 0, 0
local today = (utc - utc % 86400) / 86400
if not moves then
  version, fed, last_change, earliest_next, day, refills, born, head, shift, outlier = unpack(CALENDAR, calendar)
elseif not injected and utc < UNKNOWN_UTC then
  -- By the server's clock accounting days are numbered from that of 1970 on, so that where the calendar
  -- alone is lost, what was used today goes on to count.
  refills = today
end
now = math.min(now + shift, LAST_MS)
local ahead = now - head
if outlier > 0 or ahead >= 1000 or ahead <= -1000 then
  moves = true
  if ahead > -1000 and ahead < SPAN_MS then                           -- M2
    outlier = 0
    if ahead >= 1000 then head = now end
  else                                                                -- M3
    local e = now
    now = head
    if outlier == 0 or e < outlier - 1 or e >= outlier - 1 + SPAN_MS then outlier = e + 1 end
    if e >= outlier - 1 + 10000 then
      outlier = 0
      if e < head then shift = shift + head - e else head = e end
    end
  end
end

-- Then the calendar takes that time (D6); a new day is told by its number of refills.
if not peeks and (today ~= day or utc >= UNKNOWN_UTC) then
  local function advance(to)                                          -- D10b
    if fed == 3 then
      if now < earliest_next then return end
      earliest_next = earliest_next + PACE_MS
    end
    if fed == 2 or earliest_next < now then earliest_next = now end
    fed, last_change, refills, day = 3, now, (refills + 1) % 4294967296, to
  end
  moves = true
  if fed == 0 then fed, last_change = 2, now end
  local stale = now - last_change >= DAY_MS
  if utc >= UNKNOWN_UTC then
    if stale then advance(day >= NO_DAY - 1 and day or day + 1) end   -- D10
  elseif day == NO_DAY then                                           -- D7
    last_change, day = now, today
  elseif today > day or (today < day and stale) then                  -- D8, D9
    advance(today)
  end
end
local new_calendar = moves and
  pack(CALENDAR, VERSION, fed, last_change, earliest_next, day, refills, born, head, shift, outlier)
-- A key ends when it says nothing any more. Where the clock is the caller's, every key ends in an hour.
local kept = 2 * DAY_MS
if daily_mode == 2 then kept = kept + forgiven_after * DAY_MS end
if new_calendar and new_calendar ~= calendar then
  call('SET', KEYS[2], new_calendar, 'PX', injected and HOUR_MS or kept + 2 * DAY_MS)
end
if peeks then
  return pack(ANSWER, reading, utc, LOOKED, 0, 0, 0, #token, #calendar, #user) .. token .. calendar .. user
end
-- Where there was no calendar, counts may be lost, and permits that were held ahead of need by then are
-- not among those of the new ones. So nothing is handed out until the last of them has ended.
if fenced and reading - born < FENCE_MS and born - reading < FENCE_MS then
  return pack(ANSWER, reading, utc, WAIT, math.min(FENCE_MS, FENCE_MS + born - reading), 0, born, 0, 0, 0)
end

local open, blocked, start, used, mark, offences, token_ends = 0, 0, 0, 0, 0, 0, 0
if token ~= '' then
  local state
  version, state, start, used, mark, offences, token_ends = unpack(TOKEN, token)
  open = state % 2
  if state >= 2 then blocked = 1 end
end
local day_refills, day_used, strikes, last_strike, user_ends = 0, 0, 0, 0, 0
if user ~= '' then
  version, day_refills, day_used, strikes, last_strike, user_ends = unpack(USER, user)
end

-- A function takes time to make, and only what does not fit can offend.
local offend
if block_offences > 0 and (ARGV[3] or used + cost > limit or day_used + cost > daily_limit) then
  offend = function(count, at)                                        -- B1, B2
    if offences > 0 and at - mark >= block_within then offences = 0 end
    if offences == 0 then mark = at end
    offences = offences + count
    if offences >= block_offences then blocked, mark, offences = 1, at + block_duration, 0 end
  end
end

-- What an instance held ahead, or refused by itself, comes first: the decision is made on what
-- is left after that. A question may come twice if a connection broke; its second charge is on the
-- safe side, but what it brings counts once.
local is_new = once and call('SET', once, '', 'NX', 'PX', 10000)
if not is_new then back_window, back_day = 0, 0 end

if back_window > 0 and open == 1 and start == back_start and born == back_born then
  used = math.max(0, used - back_window)
  token = pack(TOKEN, VERSION, open + 2 * blocked, start, used, mark, offences, token_ends)
end
if back_day > 0 and user ~= '' and day_refills == back_refills and born == back_born then
  day_used = math.max(0, day_used - back_day)
  user = pack(USER, VERSION, day_refills, day_used, strikes, last_strike, user_ends)
end
if ARGV[3] and is_new and block_offences > 0 then
  local count, age, blocked_then, mark_then, offences_then, blocked_now, mark_now, offences_now =
    unpack('>I4I4BI6I3BI6I3', ARGV[3])
  if blocked == blocked_then and mark == mark_then and offences == offences_then then
    blocked, mark, offences = blocked_now, mark_now, offences_now
  elseif blocked == 0 then
    offend(count, math.max(0, now - age))
  end
  token = pack(TOKEN, VERSION, open + 2 * blocked, start, used, mark, offences, token_ends)
end

local decided = ADMITTED
local granted_window, granted_day = 0, 0
if blocked == 1 and block_offences > 0 then                           -- O3
  if mark <= now then                                                 -- B4, B6
    blocked, mark, offences = 0, 0, 0
  elseif not immune then                                              -- B5
    if extend_on_hit == 1 then mark = now + block_duration end        -- B3
    decided = BLOCKED
  end
end
if decided == ADMITTED then
  if open == 1 and now - start >= window_ms then                      -- W1, W6
    open, start, used = 0, 0, 0
  end
  if counts_daily and day_refills ~= refills then day_refills, day_used = refills, 0 end
  local window_fits = used + cost <= limit                            -- W2
  local day_fits = not counts_daily or day_used + cost <= daily_limit
  if not (window_fits and day_fits) then
    if cost > limit or (counts_daily and daily_mode == 0 and cost > daily_limit) then
      decided = COST_EXCEEDS_LIMIT                                    -- O4
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
        decided = DAILY
      elseif not window_fits then
        decided = WINDOW
      end
      if decided ~= ADMITTED and offends and block_offences > 0 then
        offend(1, now)                                                -- O7
      end
    end
  end
end
if decided == ADMITTED then                                           -- O5
  if open == 0 then open, start, used = 1, now, 0 end
  -- Ahead of need goes at most a tenth of what is left, so that others find the rest.
  if want_window > 0 then
    granted_window = math.min(want_window, math.max(0, math.floor((limit - used - cost) / 10)))
  end
  used = used + cost + granted_window
  if counts_daily then
    -- A day's permit is of no use ahead without one of the window.
    if want_day > 0 then
      granted_day = math.min(want_day, granted_window, math.max(0, math.floor((daily_limit - day_used - cost) / 10)))
    end
    day_used = math.min(4294967295, day_used + cost + granted_day)
  end
end

-- What changed is written. When a key ends stands in its record, so that most writes need not move it.
if open == 0 and blocked == 0 and offences == 0 then
  if stored_token ~= '' then call('DEL', KEYS[1]) end
else
  local record = pack(TOKEN, VERSION, open + 2 * blocked, start, used, mark, offences, token_ends)
  if record ~= stored_token then
    local needed = 0
    if open == 1 then needed = start + 2 * window_ms end
    if blocked == 1 and mark > needed then needed = mark end
    if offences > 0 and mark + block_within > needed then needed = mark + block_within end
    needed = math.max(now, needed) + 1000
    if injected then
      call('SET', KEYS[1], record, 'PX', HOUR_MS)
    elseif needed <= token_ends then
      call('SET', KEYS[1], record, 'KEEPTTL')
    else
      record = pack(TOKEN, VERSION, open + 2 * blocked, start, used, mark, offences, needed)
      call('SET', KEYS[1], record, 'PX', needed - now)
    end
  end
end
if counts_daily then
  local record = pack(USER, VERSION, day_refills, day_used, strikes, last_strike, user_ends)
  if record ~= stored_user and (stored_user ~= '' or day_used > 0 or strikes > 0) then
    if injected then
      call('SET', KEYS[3], record, 'PX', HOUR_MS)
    elseif now + kept <= user_ends then
      call('SET', KEYS[3], record, 'KEEPTTL')
    else
      -- An hour more, so that it moves once an hour.
      user_ends = now + kept + HOUR_MS
      record = pack(USER, VERSION, day_refills, day_used, strikes, last_strike, user_ends)
      call('SET', KEYS[3], record, 'PX', user_ends - now)
    end
  end
end
return pack(ANSWER, reading, utc, decided, granted_window, granted_day, born, #token, #calendar, #user)
  .. token .. calendar .. user
