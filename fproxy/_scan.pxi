# Scanning alone, without anybody who wants the events; a part of _fastpath.pyx.

cdef CompactScan scan_path(str name) except? NULL:
    cdef size_t i
    for i in range(scan_paths().size()):
        if scan_paths()[i].name == name.encode():
            return scan_paths()[i].scan
    raise ValueError(f"no scan path {name!r} on this machine: it has {', '.join(available_scan_paths())}")


cdef Scanner *new_scanner(str path) except NULL:
    if path is None:
        return new Scanner()
    if path == "exact":
        return new Scanner(<CompactScan>NULL)
    return new Scanner(scan_path(path))


def available_scan_paths():
    cdef size_t i
    return [scan_paths()[i].name.decode() for i in range(scan_paths().size())] + ["exact"]


def scan(object payload, *, str path=None):
    cdef Py_buffer view
    cdef Events events
    cdef Scanner *scanner
    cdef const char *begin
    cdef size_t i
    scanner = new_scanner(path)
    try:
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            begin = <const char *>view.buf
            if not scanner.scan(begin, begin + view.len, events):
                raise frame_error(begin, view.len, scanner.failure())
            return [
                ScannedEvent(
                    begin[events[i].begin - begin:events[i].end - begin],
                    text_or_none(events[i].type),
                    text_or_none(events[i].symbol),
                    events[i].kind == EventKind.kStatus,
                    events[i].kind == EventKind.kBar or events[i].kind == EventKind.kBarSomehow,
                    scanner.bar_interval(events[i]) if events[i].kind == EventKind.kBarSomehow else None,
                    scanner.exact_messages() != 0,
                )
                for i in range(events.size())
            ]
        finally:
            PyBuffer_Release(&view)
    finally:
        del scanner


def event_time_ms(object event):
    cdef Py_buffer view
    cdef Events events
    cdef Scanner scanner
    cdef const char *begin
    cdef int64_t time
    PyObject_GetBuffer(event, &view, PyBUF_SIMPLE)
    try:
        begin = <const char *>view.buf
        if not scanner.scan(begin, begin + view.len, events):
            raise frame_error(begin, view.len, scanner.failure())
        time = scanner.event_time(events[0]) if events.size() == 1 else 0
        return time or None
    finally:
        PyBuffer_Release(&view)


# A scanner, and room for what it finds, kept from call to call as the fan-out keeps its own.
cdef class EventCounter:
    cdef Scanner *_scanner
    cdef Events _events

    def __cinit__(self, str path):
        self._scanner = new_scanner(path)

    def __dealloc__(self):
        del self._scanner

    cdef size_t count(self, const char *begin, size_t size) except? 0:
        if not self._scanner.scan(begin, begin + size, self._events):
            raise frame_error(begin, size, self._scanner.failure())
        return self._events.size()


cdef dict _counters = {}


def count_events(object payload, *, str path=None):
    # For benchmarks, which must not pay for Python objects.
    cdef Py_buffer view
    cdef EventCounter counter = _counters.get(path)
    if counter is None:
        counter = _counters[path] = EventCounter(path)
    PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
    try:
        return counter.count(<const char *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
