-- wrk: POST the lines of the file BODIES, each once, with the header Authorization from TOKEN. Threads share the file
-- by turns. When the bodies are used up the run is void: the last line of output says so.
local n = 0
function setup(thread)
  thread:set("turn", n)
  n = n + 1
end
function init(args)
  local threads = tonumber(os.getenv("THREADS"))
  bodies, at, refused, spent = {}, 0, 0, false
  local i = 0
  for line in io.lines(os.getenv("BODIES")) do
    if i % threads == turn then bodies[#bodies + 1] = line end
    i = i + 1
  end
  repeated = os.getenv("REPEAT") == "1"
  headers = { ["Content-Type"] = "application/json" }
  local token = os.getenv("TOKEN")
  if token then headers["Authorization"] = "Bearer " .. token end
  path = os.getenv("TARGET")
end
function request()
  at = at + 1
  if at > #bodies then
    at = 1
    if not repeated then spent = true end
  end
  return wrk.format("POST", path, headers, bodies[at])
end
