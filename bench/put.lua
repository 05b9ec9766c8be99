-- wrk script: every request creates a file of BYTES random bytes under a name of its own.
-- usage: BYTES=4096 AUTH='Basic …' wrk -t 2 -c 16 -d 5s --latency -s put.lua http://HOST/dav/dir/
local threads = 0

function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
end

function init(args)
  math.randomseed(id + 1)
  local bytes = tonumber(os.getenv("BYTES") or "4096")
  local parts = {}
  for i = 1, bytes do parts[i] = string.char(math.random(0, 255)) end
  noise = table.concat(parts)
  count = 0
end

function request()
  count = count + 1
  -- Different contents, so that no server can store them once.
  local body = string.format("%08d%08d", id, count) .. noise:sub(17)
  local headers = { ["Authorization"] = os.getenv("AUTH") }
  return wrk.format("PUT", wrk.path .. id .. "-" .. count, headers, body)
end

function done(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write
  print(string.format("RESULT %.0f requests/s, p50 %.1f ms, p99 %.1f ms, %d errors",
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, bad))
end
