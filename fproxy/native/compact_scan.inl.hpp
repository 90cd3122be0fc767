// The compact scanner, written once for every instruction set: compact_scan.hpp includes this file inside a namespace
// that defines `Block`. No include guard: it is meant to be included several times.
//
// It accepts one form only, which is what vendors send: an array of flat objects without white space, whose values
// are unescaped ASCII strings, unsigned decimal numbers, and arrays of these. For that form it checks the whole grammar
// of RFC 8259 as arithmetic on bit masks (bit i speaks of character i):
//
//   * a running parity of the quotes tells what is inside a string; of the brackets, what is inside an array;
//   * the carry of an addition runs through the characters of a key, or the digits of a fraction, and comes out where
//     they end;
//   * since there is no white space, every other rule is about two neighbours: this character may follow only those.
//     A mask shifted left by one speaks of the character before.
//
// A mask has one or more lanes of 64 characters, as many as the instruction set takes at once. Lanes overlap by one
// character: bit 0 is the last lane's bit 63 again, and is there only to be the neighbour of bit 1.
//
// Anything else is left to the exact scanner: a "no" here is not an error. A "yes" is a proof of soundness.

class CompactScanner {
  public:
    explicit CompactScanner(Events &events) : events_(events) {}

    // Append the events of a message to `events`; false, with `events` in any state, for what is not of this form.
    bool scan(const char *begin, const char *end) {
        if (end - begin < 4 || *begin != '[' || end[-1] != ']') return false;
        begin_ = begin;
        end_ = end;
        event_begin_ = begin + 1;

        // The array's own brackets are not subject to the rules: the first is hidden by `valid`, the last is left out.
        // The characters of a block are taken one block ahead of its rules.
        Block blocks[2];
        unsigned current = 0;
        const char *at = begin;
        Mask valid = Block::all() & ~Block::lane_0(1);
        take(at, blocks[current]);
        for (; end - 1 - at > Block::kReads; at += Block::kAdvance, current ^= 1, valid = Block::all()) {
            take(at + Block::kAdvance, blocks[current ^ 1]);
            if (!block(blocks[current], valid, at)) return false;
        }
        if (!block(blocks[current], valid & Block::first(static_cast<size_t>(end - 1 - at)), at)) return false;
        return event_begin_ == end && !unusual_.any();  // the last event ended where the array does
    }

  private:
    using Mask = typename Block::Mask;

    Events &events_;
    const char *begin_ = nullptr;
    const char *end_ = nullptr;
    typename Block::Unusual unusual_;

    // Carried from one mask to the next: "before" is all ones or zero, and holds just before bit 0; "at_0" is bit 0.
    uint64_t string_before_ = 0;
    uint64_t array_before_ = 0;
    uint64_t key_at_0_ = 0;           // a character of a key, or the quote that closes it
    uint64_t event_comma_at_0_ = 1;   // separates two events; so does the array's opening bracket
    uint64_t leading_zero_at_0_ = 0;  // a zero that begins a number
    uint64_t fraction_at_0_ = 0;      // a digit after the decimal point

    // The event being scanned. Since there is no white space, one begins two characters after the end of another.
    const char *event_begin_ = nullptr;
    unsigned seen_ = 0;                      // bit i: routing key i was met with a string
    const char *values_[kRoutingKeys] = {};  // the first character of that string; of the last one when it is repeated

    FPROXY_INLINE void take(const char *at, Block &block) {
        const size_t left = static_cast<size_t>(end_ - 1 - at);
        if (left >= Block::kReads) return block.take(at, unusual_);
        char padded[Block::kReads];
        std::memset(padded, ' ', sizeof padded);
        std::memcpy(padded, at, left);
        block.take(padded, unusual_);
    }

    // Scan the block whose first character stands at `text`; bits outside `valid` are not part of the events.
    FPROXY_INLINE bool block(const Block &at, Mask valid, const char *text) {
        const Mask quote = at.get(kQuote) & valid;
        const Mask in_string = Block::parity(quote, string_before_);  // an opening quote is in, a closing one out
        const Mask outside = valid & ~in_string;
        const Mask open_quote = quote & in_string;
        const Mask close_quote = quote & outside;

        const Mask colon = at.get(kColon) & outside;
        const Mask comma = at.get(kComma) & outside;
        const Mask open_brace = at.get(kOpenBrace) & outside;
        const Mask close_brace = at.get(kCloseBrace) & outside;
        const Mask open_bracket = at.get(kOpenBracket) & outside;
        const Mask close_bracket = at.get(kCloseBracket) & outside;
        const Mask digit = at.get(kDigit) & outside;
        const Mask zero = at.get(kZero) & outside;
        const Mask point = at.get(kPoint) & outside;

        const Mask in_array = Block::parity(open_bracket | close_bracket, array_before_);
        const Mask after_comma = comma << 1;
        const Mask after_colon = colon << 1;
        const Mask after_open_brace = open_brace << 1;
        const Mask value_starts = after_colon | after_comma | open_bracket << 1;
        const Mask value_end = close_quote | digit | close_bracket;
        Mask event_comma = comma & close_brace << 1;
        event_comma |= Block::from_lane_before(event_comma >> 63, event_comma_at_0_);
        const Mask event_starts = event_comma << 1;

        // What each character may follow. A comma in an object may be followed by a key only.
        Mask wrong = outside & ~(value_end | colon | comma | open_brace | close_brace | open_bracket | point);
        wrong |= open_quote & (~(value_starts | after_open_brace) | event_starts);
        wrong |= comma & ~((value_end | close_brace) << 1);
        wrong |= open_brace ^ (event_starts & valid);
        wrong |= close_brace & ~(value_end << 1 | after_open_brace);
        wrong |= open_bracket & ~after_colon;
        wrong |= close_bracket & ~((close_quote | digit | open_bracket) << 1);
        wrong |= digit & ~(value_starts | (digit | point) << 1);
        wrong |= digit & after_comma & ~in_array;
        wrong |= point & ~(digit << 1);
        // Brackets alternate; no brace is inside them.
        wrong |= (open_bracket & ~in_array) | ((close_bracket | close_brace) & in_array);
        // A colon stands behind each key and nowhere else.
        const Mask key = open_quote & (after_open_brace | (after_comma & ~in_array));
        const Mask past_key = past_runs(in_string, key, key_at_0_);
        wrong |= (colon ^ past_key << 1) & valid;
        // A number's first zero is its only digit before the point.
        Mask leading_zero = zero & value_starts;
        leading_zero |= Block::from_lane_before(leading_zero >> 63, leading_zero_at_0_);
        wrong |= leading_zero << 1 & digit;
        // A number has one point.
        wrong |= past_runs(digit, point << 1, fraction_at_0_) & point;
        // Runs longer than a lane would not be followed to their end.
        if (__builtin_expect(Block::any(wrong & ~Block::each(1)) || Block::any_full(in_string | digit), 0)) return false;

        uint64_t marks[Block::kLanes];
        Block::store((open_quote & after_colon) | (close_brace & ~Block::each(1)), marks);
        for (int lane = 0; lane < Block::kLanes; ++lane, text += kLaneAdvance) {
            for (uint64_t left = marks[lane]; left != 0; left &= left - 1) {
                const char *const mark = text + __builtin_ctzll(left);
                if (*mark == '"')
                    string_value(mark);
                else
                    end_event(mark);
            }
        }
        return true;
    }

    // Follow the runs of ones in `runs` that contain a bit of `starts` to the bit behind their end: adding makes the
    // carry run through them. `at_0` says whether the run at bit 0 is one of them, or has just ended there.
    FPROXY_INLINE static Mask past_runs(Mask runs, Mask starts, uint64_t &at_0) {
        // What goes on into the next lane does not depend on what came from the one before, since no run fills a lane.
        const Mask alone = runs + starts;
        const Mask overflow = (runs & starts) | ((runs | starts) & ~alone);
        const Mask goes_on = (overflow | (alone & ~runs)) >> 63;
        return (alone + Block::from_lane_before(goes_on, at_0)) & ~runs;
    }

    // A member has a string, which `quote` opens: note it when its key is one of the routing keys.
    FPROXY_INLINE void string_value(const char *quote) {
        // The eight characters that end with the quote hold the whole of the longest key, "pair":". The first event
        // of a message may have fewer before it.
        if (__builtin_expect(quote - begin_ < 7, 0)) return early_string_value(quote);
        note_value(load8(quote - 7), quote + 1);
    }

    void early_string_value(const char *quote) {
        char padded[8] = {};
        const size_t have = static_cast<size_t>(quote + 1 - begin_);
        std::memcpy(padded + 8 - have, begin_, have);
        note_value(load8(padded), quote + 1);
    }

    FPROXY_INLINE void note_value(uint64_t key, const char *value) {
        RoutingKey slot;
        if (key >> 16 == packed("\"ev\":\"")) slot = kEv;
        else if (key >> 8 == packed("\"sym\":\"")) slot = kSym;
        else if (key >> 24 == packed("\"T\":\"")) slot = kUpperT;
        else if (key >> 24 == packed("\"S\":\"")) slot = kUpperS;
        else if (key >> 24 == packed("\"p\":\"")) slot = kLowerP;
        else if (key == packed("\"pair\":\"")) slot = kPair;
        else return;
        values_[slot] = value;
        seen_ |= 1u << slot;
    }

    FPROXY_INLINE void end_event(const char *brace) {
        Event &event = events_.append();
        event.begin = event_begin_;
        event.end = brace + 1;
        event_begin_ = brace + 2;
        if (__builtin_expect(seen_ == (1u << kEv | 1u << kSym), 1)) {
            event.type = text(values_[kEv]);
            event.symbol = text(values_[kSym]);
            event.kind = EventKind::kMarketData;
            if (__builtin_expect(event.type.length > 2, 0)) event.kind = kind_of_type(event.type);
            if (__builtin_expect(event.type.key == packed("MB"), 0)) event.kind = EventKind::kBarSomehow;
        } else {
            RoutingKeys keys;
            for (unsigned key = 0; key < kRoutingKeys; ++key)
                if (seen_ >> key & 1) keys.values[key] = text(values_[key]);
            resolve(keys, event);
        }
        seen_ = 0;
    }

    // The text up to the next quote.
    FPROXY_INLINE Text text(const char *begin) const {
        const uint64_t word = load8_before(begin, end_);
        const uint64_t difference = word ^ 0x2222222222222222u;  // '"'
        const uint64_t quotes = (difference - 0x0101010101010101u) & ~difference & 0x8080808080808080u;
        if (__builtin_expect(quotes == 0, 0)) return long_text(begin);
        Text text;
        const unsigned bits = static_cast<unsigned>(__builtin_ctzll(quotes)) & ~7u;
        text.data = begin;
        text.length = bits / 8;
        text.key = word & ((uint64_t{1} << bits) - 1);
        return text;
    }

    Text long_text(const char *begin) const {
        const void *const quote = std::memchr(begin, '"', static_cast<size_t>(end_ - begin));
        return Text::of(begin, quote == nullptr ? 0 : static_cast<size_t>(static_cast<const char *>(quote) - begin));
    }
};
