# From upstream messages to clients, each of which gets its topics; a part of _fastpath.pyx.

cdef extern from "fanout.hpp" namespace "fproxy" nogil:
    cdef cppclass TopicTable:
        void set_sources(const Text &type, uint32_t sources) except +core_error
        void set_bar_sources(uint32_t sources) except +core_error
        size_t exact_topics() const
        size_t bytes() const

    cdef cppclass Topics:
        TopicTable &table()
        uint32_t topic(const Text &type, const Text &symbol) except +core_error
        void forget_unused(uint32_t topic) except +core_error

    cdef cppclass Audiences:
        Topics &topics()
        uint32_t add_client() except +core_error
        void remove_client(uint32_t client) except +core_error
        bool_t is_shared(uint32_t client) const
        bool_t prepare_to_subscribe(uint32_t client, const vector[uint32_t] &ids) except +core_error
        bool_t prepare_to_unsubscribe(uint32_t client, const vector[uint32_t] &ids) except +core_error
        void subscribe(uint32_t client, const vector[uint32_t] &ids) except +core_error
        void unsubscribe(uint32_t client, const vector[uint32_t] &ids) except +core_error
        bool_t settle() except +core_error
        size_t size() const
        const vector[uint32_t] &members(uint32_t audience) const

    cdef cppclass CppFanout "fproxy::Fanout":
        CppFanout(uint64_t seed, size_t max_payload) except +core_error
        Audiences &audiences()
        bool_t feed(unsigned int source, const char *begin, const char *end) except +core_error
        bool_t distribute(vector[pair[const char *, const char *]] &statuses) except +core_error
        void publish(uint32_t topic, const char *begin, const char *end) except +core_error
        const LastEvent &last_event(unsigned int source) const
        const Events &events() const
        const ScannedMessage &scanned() const
        void counted(string &counted) except +core_error
        bool_t fed_data() const
        uint64_t data_messages(unsigned int source) const
        void withhold(vector[pair[const char *, const char *]] &statuses) except +core_error
        void take_from(int64_t time, int64_t otherwise)
        const ScanFailure &failure() const
        uint64_t events_in() const
        uint64_t events_collected() const
        uint64_t exact_messages() const
        const vector[uint32_t] &ready() const
        pair[const char *, size_t] finish(uint32_t audience) except +core_error
        size_t finished_events(uint32_t audience)
        size_t finished_notices(uint32_t audience)
        void all_written() except +core_error
        const vector[uint32_t] &overfull() const
        void overfull_written() except +core_error
        void keep_last(CppSnapshots &snapshots, int64_t received, bool_t is_live) except +core_error


cdef extern from "known_events.hpp" namespace "fproxy" nogil:
    cdef cppclass KnownEvents:
        void add(const Events &events) except +core_error
        bool_t empty() const
        void clear()
        bool_t leave_out(const Events &events, string &rest) except +core_error


cdef class Fanout:
    cdef CppFanout *_fanout
    cdef list _sinks
    cdef dict _muted  # client's number -> its sink, while nothing is written to it
    cdef Frames _frames
    cdef History _history
    cdef Snapshots _snapshots
    cdef object _event_topics

    def __cinit__(
        self, *, size_t max_message=DEFAULT_MAX_MESSAGE, History history=None, Snapshots snapshots=None,
        object event_topics=None
    ):
        if max_message < 2:
            raise ValueError(f"max_message must be at least 2 bytes, not {max_message}")
        self._history = history
        self._snapshots = snapshots
        self._event_topics = event_topics
        self._fanout = new CppFanout(process_seed(), max_message)
        self._sinks = []
        self._muted = {}
        self._frames = Frames()

    def __dealloc__(self):
        del self._fanout

    def set_sources(self, str event_type, object sources):
        cdef uint32_t mask = 0
        for source in sources:
            mask |= <uint32_t>1 << <unsigned int>source
        if event_type == "Ms":
            self._fanout.audiences().topics().table().set_bar_sources(mask)
            return
        cdef bytes name = event_type.encode()
        cdef Text type_text = Text.of(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        self._fanout.audiences().topics().table().set_sources(type_text, mask)

    def add_client(self, object sink not None):
        self._frames.check_idle()
        cdef uint32_t client = self._fanout.audiences().add_client()
        if client == len(self._sinks):
            self._sinks.append(sink)
        else:
            self._sinks[client] = sink
        return client

    def remove_client(self, uint32_t client):
        self._check(client)
        self.flush()
        self._fanout.audiences().remove_client(client)
        self._sinks[client] = None
        self._muted.pop(client, None)

    def mute(self, uint32_t client):
        self._check(client)
        self.flush()
        self._muted.setdefault(client, self._sinks[client])
        self._sinks[client] = _nowhere

    def unmute(self, uint32_t client):
        self._check(client)
        self.flush()
        self._sinks[client] = self._muted.pop(client, self._sinks[client])

    def may_take_long(self, uint32_t client, object topics):
        cdef str event_type, symbol
        self._check(client)
        if self._fanout.audiences().is_shared(client):
            return True
        for event_type, symbol in topics:
            if symbol == "*":
                return True
        return False

    def prepare_to_subscribe(self, uint32_t client, object topics):
        self._check(client)
        self.flush()
        cdef vector[uint32_t] ids
        self._topic_ids(topics, ids)
        try:
            return self._fanout.audiences().prepare_to_subscribe(client, ids)
        finally:
            self._forget_unused(ids)

    def prepare_to_unsubscribe(self, uint32_t client, object topics):
        self._check(client)
        self.flush()
        cdef vector[uint32_t] ids
        self._topic_ids(topics, ids)
        try:
            return self._fanout.audiences().prepare_to_unsubscribe(client, ids)
        finally:
            self._forget_unused(ids)

    def subscribe(self, uint32_t client, object topics):
        self._check(client)
        self.flush()
        cdef vector[uint32_t] ids
        self._topic_ids(topics, ids)
        self._fanout.audiences().subscribe(client, ids)

    def unsubscribe(self, uint32_t client, object topics):
        self._check(client)
        self.flush()
        cdef vector[uint32_t] ids
        self._topic_ids(topics, ids)
        self._fanout.audiences().unsubscribe(client, ids)

    def settle(self):
        self.flush()
        return self._fanout.audiences().settle()

    def input(self, unsigned int source):
        return FanoutInput(self, source)

    def feed(self, unsigned int source, object payload):
        return FanoutInput(self, source)(payload)

    cdef object _take_message(self, FanoutInput upstream, const char *begin, Py_ssize_t size):
        cdef vector[pair[const char *, const char *]] statuses
        cdef bint sound
        self._frames.check_idle()
        sound = self._fanout.feed(upstream._source, begin, begin + size)
        if not sound:
            raise frame_error(begin, size, self._fanout.failure())
        if not upstream._known.empty() and upstream._known.leave_out(self._fanout.events(), upstream._rest):
            self._fanout.withhold(statuses)
            begin = upstream._rest.data()
            size = upstream._rest.size()
            if size == 0:
                return status_events(statuses)
            self._fanout.feed(upstream._source, begin, begin + size)
        if self._history is not None and self._fanout.fed_data():
            self._keep(upstream, begin, size)
        if self._snapshots is not None and self._fanout.fed_data():
            self._fanout.keep_last(self._snapshots._snapshots[0], unix_ms(), upstream.is_live)
        if upstream.is_live:
            self._distribute(statuses)
        else:
            self._fanout.withhold(statuses)
        return status_events(statuses)

    cdef _keep(self, FanoutInput upstream, const char *begin, Py_ssize_t size):
        if not upstream.keeps_all:
            self._fanout.counted(upstream._rest)
            begin = upstream._rest.data()
            size = upstream._rest.size()
            if size == 0:
                return
        self._history._history.append(upstream._source, begin, begin + size, unix_ms(), upstream.is_live)

    cdef _distribute(self, vector[pair[const char *, const char *]] &statuses):
        cdef bint more = True
        while more:
            more = self._fanout.distribute(statuses)
            if not self._fanout.overfull().empty():
                self._write_to_audiences(self._fanout.overfull())
                self._fanout.overfull_written()

    def replay(
        self, History history not None, uint64_t start, uint64_t stop, *,
        int64_t since=0, bint live_only=False, size_t max_bytes
    ):
        cdef vector[pair[const char *, const char *]] statuses
        cdef HistoryMessage message
        cdef size_t size, spent = 0
        cdef uint64_t number = max(start, history._history.first())
        self._frames.check_idle()
        stop = min(stop, history._history.next())
        try:
            while number < stop and spent < max_bytes:
                message = history._history[0][number]
                size = message.end - message.begin
                if live_only and not message.was_live:
                    spent += 1
                    number += 1
                    continue
                self._fanout.take_from(since, message.received)
                if self._fanout.feed(message.source, message.begin, message.end):
                    self._distribute(statuses)
                spent += size
                number += 1
        finally:
            self._fanout.take_from(0, 0)
        self.flush()
        return number

    def publish(self, object topic, bytes event not None):
        cdef vector[uint32_t] ids
        cdef const char *begin = PyBytes_AS_STRING(event)
        self._frames.check_idle()
        self._topic_ids((topic,), ids)
        self._fanout.publish(ids[0], begin, begin + PyBytes_GET_SIZE(event))
        self._forget_unused(ids)

    def data_messages(self, unsigned int source):
        if source >= 32:
            raise ValueError(f"source {source} is not below 32")
        return self._fanout.data_messages(source)

    def last_event(self, unsigned int source):
        if source >= 32:
            raise ValueError(f"source {source} is not below 32")
        return last_event_bytes(self._fanout.last_event(source))

    def flush(self):
        self._frames.check_idle()
        if self._fanout.ready().empty():
            return
        self._write_to_audiences(self._fanout.ready())
        self._fanout.all_written()

    cdef _write_to_audiences(self, const vector[uint32_t] &audiences):
        cdef size_t i, j
        cdef const vector[uint32_t] *members
        cdef pair[const char *, size_t] ready
        cdef Frames frames = self._frames
        try:
            for i in range(audiences.size()):
                ready = self._fanout.finish(audiences[i])
                if ready.second == 0:
                    continue
                members = &self._fanout.audiences().members(audiences[i])
                frames.start(ready, self._fanout.finished_events(audiences[i]), members.size() == 1)
                frames.notices = self._fanout.finished_notices(audiences[i])
                for j in range(members.size()):
                    frames.write_to(<object>PyList_GET_ITEM(self._sinks, members[0][j]))
        finally:
            frames.finish()

    @property
    def has_pending(self):
        return not self._fanout.ready().empty()

    @property
    def topic_bytes(self):
        return self._fanout.audiences().topics().table().bytes()

    @property
    def events_in(self):
        return self._fanout.events_in()

    @property
    def events_collected(self):
        return self._fanout.events_collected()

    @property
    def deliveries(self):
        return self._frames.deliveries

    @property
    def sent_bytes(self):
        return self._frames.sent_bytes

    @property
    def exact_messages(self):
        return self._fanout.exact_messages()

    @property
    def audiences(self):
        return self._fanout.audiences().size()

    @property
    def exact_topics(self):
        return self._fanout.audiences().topics().table().exact_topics()

    cdef _check(self, uint32_t client):
        if client >= len(self._sinks) or self._sinks[client] is None:
            raise KeyError(client)

    # The numbers of topics, which are made when they are new; when one is no topic, none is left behind.
    cdef _topic_ids(self, object topics, vector[uint32_t] &ids):
        if self._event_topics is not None:
            topics = [matched for topic in topics for matched in self._event_topics(topic)]
        try:
            self._append_topic_ids(topics, ids)
        except BaseException:
            self._forget_unused(ids)
            raise

    cdef _forget_unused(self, const vector[uint32_t] &ids):
        cdef size_t i
        for i in range(ids.size()):
            self._fanout.audiences().topics().forget_unused(ids[i])

    cdef _append_topic_ids(self, object topics, vector[uint32_t] &ids):
        cdef bytes type_bytes, symbol_bytes
        cdef str event_type, symbol
        for event_type, symbol in topics:
            type_bytes = b"" if event_type == "*" else event_type.encode("utf-8", "surrogatepass")
            symbol_bytes = b"" if symbol == "*" else symbol.encode("utf-8", "surrogatepass")
            ids.push_back(
                self._fanout.audiences().topics().topic(
                    Text.of(PyBytes_AS_STRING(type_bytes), PyBytes_GET_SIZE(type_bytes)),
                    Text.of(PyBytes_AS_STRING(symbol_bytes), PyBytes_GET_SIZE(symbol_bytes)),
                )
            )


cdef class FanoutInput(MessageSink):
    cdef Fanout _fanout
    cdef unsigned int _source
    cdef KnownEvents _known
    cdef string _rest
    cdef public bint is_live
    cdef public bint keeps_all

    def __init__(self, Fanout fanout not None, unsigned int source):
        self._fanout = fanout
        self.source = source
        self.is_live = True
        self.keeps_all = True

    @property
    def source(self):
        return self._source

    @source.setter
    def source(self, unsigned int source):
        if source >= 32:
            raise ValueError(f"source {source} is not below 32")
        self._source = source

    cdef object take_message(self, const char *begin, Py_ssize_t size):
        return self._fanout._take_message(self, begin, size)

    cdef const ScannedMessage *scanned(self) noexcept:
        return &self._fanout._fanout.scanned()

    def leave_out(self, History history not None, uint64_t start):
        cdef HistoryMessage message
        cdef Events events
        cdef Scanner scanner
        cdef uint64_t number
        self._known.clear()
        for number in range(max(start, history._history.first()), history._history.next()):
            message = history._history[0][number]
            if message.source == self._source and scanner.scan(message.begin, message.end, events):
                self._known.add(events)

    def take_all(self):
        self._known.clear()
