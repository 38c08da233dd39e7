-- Tries every command that the scripts and this limiter use, so that one that the store's user may not
-- do is told by its name.
--
-- KEYS  a key that is nobody's
for _, command in ipairs({
  { 'SET', KEYS[1], '', 'PX', 1000 }, { 'GET', KEYS[1] }, { 'MGET', KEYS[1] }, { 'PTTL', KEYS[1] }, { 'DEL', KEYS[1] }, { 'TIME' },
}) do
  local answer = redis.pcall(unpack(command))
  if type(answer) == 'table' and answer.err then
    local why = string.find(answer.err, "can't", 1, true) and 'NOPERM ' .. command[1] .. ': ' or ''
    return redis.error_reply(why .. answer.err)
  end
end
return 1
