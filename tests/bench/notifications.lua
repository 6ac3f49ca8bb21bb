-- What wrk sends: one event per POST, as a registry does, each with an id of its own.
--
-- Arguments after `--`: kind (blob | manifest | due | mix), a word that makes the ids of this run unlike any other's,
-- the notify token, keep-alive (yes | no: a new connection per event, as a registry does).
--   manifest  tagged pushes into 64 repositories that are due already
--   due       tagged pushes, each into a repository of its own: each sends a message to the workers
--   mix       what one push makes: 3 blobs, then the manifest
-- Prints one line of JSON at the end.
local kind, run, number, head = "mix", "run", 0, {}

local OUTSIDE = '{"events":[{"id":"%s","timestamp":"%s","action":"push","target":{"mediaType":"%s","size":%d,' ..
  '"digest":"sha256:%064x","length":%d,"repository":"%s","url":"http://127.0.0.1:5000/v2/%s/%s/sha256:%064x"%s},' ..
  '"request":{"id":"56bab930-ae4e-438e-b46c-%012x","addr":"127.0.0.1:33674","host":"127.0.0.1:5000","method":"PUT",' ..
  '"useragent":"docker/27.3.1 go/go1.22.7 git-commit/41ca978 kernel/6.8.0-48-generic os/linux arch/amd64 ' ..
  'UpstreamClient(Docker-Client/27.3.1 \\\\(linux\\\\))"},"actor":{"name":"ci"},"source":{"addr":"vm:5000",' ..
  '"instanceID":"7b65348f-3534-463e-9a0d-6224827d823b"}}]}'
local MANIFEST = "application/vnd.oci.image.manifest.v1+json"

function init(arguments)
  kind, run = arguments[1], arguments[2]
  head["Authorization"] = "Bearer " .. arguments[3]
  head["Content-Type"] = "application/vnd.docker.distribution.events.v1+json"
  if arguments[4] == "no" then head["Connection"] = "close" end
end

function request()
  number = number + 1
  local blob = kind == "blob" or (kind == "mix" and number % 4 ~= 0)
  local repository = string.format("shop/api-%d", kind == "due" and number or math.floor(number / 4) % 64)
  if kind == "due" then repository = repository .. "-" .. run end
  local id = string.format("%s-%s-%012x", run, "4fe4-a6df", number)
  local time = os.date("!%Y-%m-%dT%H:%M:%S") .. string.format(".%06d000Z", number % 1000000)
  local tag = blob and "" or string.format(',"tag":"main-%06d"', math.floor(number / 256) % 128)
  local place, media = blob and "blobs" or "manifests", blob and "application/octet-stream" or MANIFEST
  local size = blob and 31337 or 1573
  local body = string.format(OUTSIDE, id, time, media, size, number, size, repository, repository, place, number, tag,
                             number)
  return wrk.format("POST", "/notifications", head, body)
end

function done(summary, latency)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status +
              summary.errors.timeout
  io.write(string.format('{"requests":%d,"us":%d,"bad":%d,"p50_us":%d,"p99_us":%d}\n', summary.requests,
                         summary.duration, bad, latency:percentile(50), latency:percentile(99)))
end
