-- Forgets the strikes of a user that are forgiven by now, before a policy with a longer memory comes
-- into force (D3).
--
-- KEYS  the user's and the calendar's record
-- ARGV  packed: refills after which strikes are forgiven
local record, calendar = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
if not record or not calendar or string.byte(record) ~= 3 or string.byte(calendar) ~= 3 then return 0 end
local version, day_refills, used, strikes, last_strike, ends = struct.unpack('>BI4I4BI3I6', record)
local _, _, _, _, _, refills = struct.unpack('>BBI6I6I4I4I6', calendar)
if strikes == 0 or (refills - last_strike) % 16777216 < struct.unpack('>I2', ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], struct.pack('>BI4I4BI3I6', version, day_refills, used, 0, 0, ends), 'KEEPTTL')
return strikes
