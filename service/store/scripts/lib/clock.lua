-- The time of Redis. now_us is text: Lua would round a number of this size when it becomes text.
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
