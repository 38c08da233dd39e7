-- Removes a record that says nothing any more, unless it changed meanwhile.
--
-- KEYS  the token's record
-- ARGV  the record as it was seen
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
