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
