-- Posts the requests that benchmarks/load.py wrote, and writes the report that it reads.
-- Arguments: folder, number of connections, deliveries a second in all (0: as fast as answers come).

local ffi = require("ffi")
ffi.cdef [[
    typedef struct { long seconds; long nanoseconds; } moment;
    typedef struct { uint32_t number; uint32_t asks; uint32_t offset; uint32_t length; } place;
    int clock_gettime(int clock, moment *now);
    int open(const char *path, int flags);
    long read(int file, void *buffer, size_t size);
    long pread(int file, void *buffer, size_t size, long offset);
]]
local MONOTONIC, READ_ONLY = 1, 0
local moment = ffi.new("moment")
local place = ffi.new("place")
local buffer = ffi.new("char[65536]")

local function now()
    ffi.C.clock_gettime(MONOTONIC, moment)
    return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

local threads = {}

function setup(thread)
    table.insert(threads, thread)
    thread:set("number", #threads)
end

-- What follows belongs to one thread, which has one connection: an answer is that of the last request.

local index, requests
local start, interval, offset
local checked
local current, asks, began
folder = ""
issued = {}
acknowledged = {}
latencies = {}
answers = {}
unreplied = 0
exhausted = false

-- All threads read the index through one open file, and so share its position: Linux gives each
-- read the next place, and no request is sent twice.
function init(arguments)
    folder = arguments[1]
    index = tonumber(arguments[2])
    requests = ffi.C.open(folder .. "/requests", READ_ONLY)
    assert(requests >= 0, "the requests cannot be read")
    local connections, rate = tonumber(arguments[3]), tonumber(arguments[4])
    if rate > 0 then
        interval, offset = connections / rate, (number - 1) / rate
        delay = pause
    end
end

local function due()
    return start + offset + #issued * interval
end

function pause()
    start = start or now()
    return math.max(0, math.floor((due() - now()) * 1000))
end

local function count(answer)
    answers[answer] = (answers[answer] or 0) + 1
end

local function take()
    if ffi.C.read(index, place, ffi.sizeof(place)) < ffi.sizeof(place) then
        exhausted = true
        wrk.thread:stop()
        return "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    end
    ffi.C.pread(requests, buffer, place.length, place.offset)
    return ffi.string(buffer, place.length)
end

function request()
    -- wrk asks the first thread for one request before it starts, and does not send it.
    if number == 1 and not checked then
        checked = take()
        return checked
    end
    local text = #issued == 0 and checked or take()
    current, asks = place.number, place.asks == 1
    began = now()
    if interval then
        start = start or began
        began = math.min(began, due())
    end
    if not exhausted then
        table.insert(issued, current)
    end
    return text
end

function response(status, headers, body)
    local is_reply = body:find("<xml", 1, true) ~= nil
    if status ~= 200 or not (is_reply or body == "success" or body == "") then
        count(status .. " " .. body:sub(1, 60):gsub("%s", " "))
        return
    end
    table.insert(acknowledged, current)
    table.insert(latencies, now() - began)
    if asks and not is_reply then
        unreplied = unreplied + 1
    elseif is_reply and not asks then
        count("a reply nobody asked for")
    end
end

function done(summary)
    local report = assert(io.open(threads[1]:get("folder") .. "/report", "w"))
    report:write("microseconds ", string.format("%d", summary.duration), "\n")
    for _, thread in ipairs(threads) do
        if thread:get("exhausted") then
            report:write("exhausted\n")
        end
        for _, name in ipairs({ "issued", "acknowledged", "latencies" }) do
            report:write(name, " ", table.concat(thread:get(name), " "), "\n")
        end
        report:write("unreplied ", thread:get("unreplied"), "\n")
        for answer, times in pairs(thread:get("answers")) do
            report:write("answer ", times, " ", answer, "\n")
        end
    end
    for kind, times in pairs(summary.errors) do
        if kind ~= "status" and times > 0 then
            report:write("answer ", times, " socket error: ", kind, "\n")
        end
    end
    report:close()
end
