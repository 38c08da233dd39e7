-- Ends a token's block, which leaves it without offences; one that is not blocked keeps what it has.
--
-- KEYS  the token's record
local record = redis.call('GET', KEYS[1])
if not record or string.byte(record) ~= 3 then return 0 end
local version, state, start, used, _, _, ends = struct.unpack('>BBI6I3I6I3I6', record)
if state < 2 then return 0 end
if state == 2 then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], struct.pack('>BBI6I3I6I3I6', version, 1, start, used, 0, 0, ends), 'KEEPTTL')
end
return 1
