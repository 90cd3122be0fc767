// The compact scanner, written once for every instruction set: compact_scan.hpp includes this file inside a namespace
// that defines `Block`. No include guard: it is meant to be included several times.
//
// It accepts one form only, which is what vendors send: an array of flat objects without white space, whose values
// are unescaped ASCII strings, unsigned decimal numbers, arrays of these, and arrays of such arrays (order books). For that
// form it checks the whole grammar of RFC 8259 as arithmetic on bit masks (bit i speaks of character i):
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
// One block, worked through (bit 0 on the left, a point for a zero; the masks have their names in block()):
//
//     text                           [{"p":10.5,"c":[2],"x":"a,b"}]
//
// Quotes alternate between opening and closing, so their running parity is what is inside a string, the opening quote
// included; whatever else stands in there, such as the comma of "a,b", counts for nothing:
//
//     quote                          ..1.1......1.1.....1.1.1...1..
//     in_string                      ..11.......11......11..1111...
//     open_quote                     ..1........1.......1...1......
//     close_quote                    ....1........1.......1.....1..
//     comma                          ..........1.......1...........
//     colon                          .....1........1.......1.......
//     digit                          ......11.1......1.............
//     point                          ........1.....................
//
// The same with brackets. The message's own are not seen: the first is not `valid`, the last is not scanned. A comma in an array
// is followed by a value, one in an object by a key:
//
//     bracket                        ...............1.1............
//     in_array                       ...............11.............
//     after_object_comma             ...........1.......1..........
//     key                            ..1........1.......1..........
//
// Where a key ends is a carry: a one added to the first bit of a run of ones turns all of it to zeros and comes out behind it,
// which here is the closing quote. One further there must be a colon, and nowhere else:
//
//     past_runs(in_string, key)      ....1........1.......1........
//       ... << 1                     .....1........1.......1.......
//     colon                          .....1........1.......1.......
//
// The same with the digits behind a point: what comes out behind them must not be another point, as in 10.5.1. The rest are
// neighbours: a digit may stand where a value starts (as the 1 and the 2 do), behind a digit (0) and behind a point (5):
//
//     value_starts                   ......1....1...11..1...1......
//     after_point                    .........1....................
//     past_runs(digit, after_point)  ..........1...................
//
// Any bit of `wrong` ends it. If there is none, only these need a look, one after the other: a string that is a member's value
// (is its key a routing key?), and the end of an event:
//
//     marks                          .......................1....1.
//
// Anything else is left to the exact scanner: a "no" here is not an error. A "yes" is a proof of soundness.

class CompactScanner {
  public:
    explicit CompactScanner(Events &events) : events_(events) {}

    // Append the events of a message to `events`; false, with `events` in any state, for what is not of this form.
    bool scan(const char *begin, const char *end) {
        if (end - begin < 4 || *begin != '[' || end[-1] != ']') return false;
        if (begin[3] == '"') return false;  // an empty key: string_value() relies on six characters before the first value
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

    // Carried from one block to the next: whether it holds just before bit 0, or at bit 0.
    typename Block::Parity string_before_{};
    typename Block::Parity array_before_{};
    typename Block::Parity nested_before_{};
    typename Block::Carry key_at_0_{};                          // a character of a key, or the quote that closes it
    typename Block::Carry event_comma_at_0_ = Block::carry(1);  // separates two events; so does the array's opening bracket
    typename Block::Carry leading_zero_at_0_{};                 // a zero that begins a number
    typename Block::Carry fraction_at_0_{};                     // a digit after the decimal point

    // The event being scanned. Since there is no white space, one begins two characters after the end of another.
    const char *event_begin_ = nullptr;
    // The first character of a routing key's string, of the last one when the key is repeated; null without one.
    const char *ev_ = nullptr;
    const char *sym_ = nullptr;
    bool others_seen_ = false;
    const char *others_[kRoutingKeys] = {};  // of the keys that few events have

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
        const Mask quote = at.get(kQuotes);
        const Mask in_string = Block::parity(quote, string_before_);  // an opening quote is in, a closing one out
        const Mask outside = valid & ~in_string;
        const Mask open_quote = quote & in_string;
        const Mask close_quote = quote & outside;

        const Mask second = at.get(kSecondOfPair);
        const Mask comma_or_point = at.get(kCommaOrPoint) & outside;
        const Mask digit_or_colon = at.get(kDigitOrColon) & outside;
        const Mask bracket = at.get(kBracket) & outside;
        const Mask brace = at.get(kBrace) & outside;
        const Mask comma = comma_or_point & ~second;
        const Mask point = comma_or_point & second;
        const Mask digit = digit_or_colon & ~second;
        const Mask colon = digit_or_colon & second;
        const Mask close_bracket = bracket & ~second;
        const Mask open_bracket = bracket & second;
        const Mask close_brace = brace & ~second;
        const Mask open_brace = brace & second;

        // Of an array whose elements may be arrays: the parity is odd between these, and even in them as it is outside. So a
        // bracket that opens to even, or closes to odd, is one of a nested array.
        const Mask in_outer_array = Block::parity(bracket, array_before_);
        const Mask nested = (in_outer_array ^ open_bracket) & bracket;
        Mask in_nested_array = Block::each(0);
        if (__builtin_expect(Block::any(nested) || Block::is_odd(nested_before_), 0))
            in_nested_array = Block::parity(nested, nested_before_);
        const Mask in_array = in_outer_array | in_nested_array;
        const Mask after_comma = comma << 1;
        const Mask after_object_comma = after_comma & ~in_array;
        const Mask after_colon = colon << 1;
        const Mask after_digit = digit << 1;
        const Mask after_point = point << 1;
        const Mask after_open_brace = open_brace << 1;
        const Mask after_close_brace = close_brace << 1;
        const Mask after_open_bracket = open_bracket << 1;
        const Mask after_string_or_digit = close_quote << 1 | after_digit;
        const Mask after_value = after_string_or_digit | close_bracket << 1;
        const Mask value_starts = after_colon | after_comma | after_open_bracket;
        Mask event_comma = comma & after_close_brace;
        event_comma |= Block::from_lane_before(event_comma >> 63, event_comma_at_0_);
        const Mask event_starts = event_comma << 1;

        // What each character may follow. A comma in an object may be followed by a key only.
        Mask wrong = outside & ~(close_quote | comma_or_point | digit_or_colon | bracket | brace);
        wrong |= open_quote & (~(value_starts | after_open_brace) | event_starts);
        wrong |= comma & ~(after_value | after_close_brace);
        wrong |= open_brace ^ event_starts;
        wrong |= close_brace & ~(after_value | after_open_brace);
        wrong |= open_bracket & ~((after_colon & ~nested) | ((after_open_bracket | after_comma) & nested));
        wrong |= close_bracket & ~(after_string_or_digit | after_open_bracket | (close_bracket << 1 & ~nested));
        wrong |= digit & ~(value_starts | after_digit | after_point);
        wrong |= digit & after_object_comma;
        wrong |= point & ~after_digit;
        // Brackets alternate, those of nested arrays between those of others; no brace is inside them.
        wrong |= (in_nested_array ^ (open_bracket & nested)) & bracket;
        wrong |= in_array & close_brace;
        // A colon stands behind each key and nowhere else.
        const Mask key = open_quote & (after_open_brace | after_object_comma);
        wrong |= colon ^ past_runs(in_string, key, key_at_0_) << 1;
        // A number's first zero is its only digit before the point.
        Mask leading_zero = at.get(kZero) & value_starts & outside;
        leading_zero |= Block::from_lane_before(leading_zero >> 63, leading_zero_at_0_);
        wrong |= leading_zero << 1 & digit;
        // A number has one point.
        wrong |= past_runs(digit, after_point, fraction_at_0_) & point;
        wrong &= valid & ~Block::each(1);
        // Runs through all of a lane would not be followed to their end, which for the next lane may stand in bit 63.
        if (__builtin_expect(Block::any(wrong | Block::full(in_string | digit | Block::each(kLastBit))), 0)) return false;

        uint64_t marks[Block::kLanes];
        Block::store((open_quote & after_colon) | (close_brace & ~Block::each(1)), marks);
        for (int lane = 0; lane < Block::kLanes; ++lane, text += kLaneAdvance) {
            for (uint64_t left = marks[lane]; left != 0; left &= left - 1) {
                const char *const mark = text + static_cast<unsigned>(__builtin_ctzll(left));
                if (*mark == '"')
                    string_value(mark);
                else
                    close_event(mark);
            }
        }
        return true;
    }

    // Follow the runs of ones in `runs` that contain a bit of `starts` to the bit behind their end: adding makes the
    // carry run through them. `at_0` says whether the run at bit 0 is one of them, or has just ended there.
    FPROXY_INLINE static Mask past_runs(Mask runs, Mask starts, typename Block::Carry &at_0) {
        // What goes on into the next lane does not depend on what came from the one before, since no run fills a lane
        // up to its last bit but one.
        // Where a carry arrives, the sum differs from `runs`: so it does in bit 63, which is the next lane's bit 0.
        const Mask alone = runs + starts;
        return (alone + Block::from_lane_before((alone ^ runs) >> 63, at_0)) & ~runs;
    }

    // A member has a string, which `quote` opens: note it when its key is one of the routing keys.
    FPROXY_INLINE void string_value(const char *quote) {
        if (!(kLastLetters >> (static_cast<unsigned char>(quote[-3]) & 63) & 1)) return;
        // The seven characters that end with the quote hold all of the longest key but one, "pair":".
        const uint64_t key = load8(quote - 6) << 8;
        if (key >> 16 == packed("\"ev\":\"")) ev_ = quote + 1;
        else if (key == packed("\"sym\":\"") << 8) sym_ = quote + 1;
        else if (key >> 24 == packed("\"T\":\"")) note_other(kUpperT, quote);
        else if (key >> 24 == packed("\"S\":\"")) note_other(kUpperS, quote);
        else if (key >> 24 == packed("\"p\":\"")) note_other(kLowerP, quote);
        else if (key == packed("pair\":\"") << 8 && quote[-7] == '"') note_other(kPair, quote);
    }

    FPROXY_INLINE void note_other(RoutingKey key, const char *quote) {
        others_[key] = quote + 1;
        others_seen_ = true;
    }

    FPROXY_INLINE void close_event(const char *brace) {
        Event &event = events_.append();
        event.begin = event_begin_;
        event.end = brace + 1;
        event_begin_ = brace + 2;
        if (__builtin_expect(others_seen_ || ev_ == nullptr || sym_ == nullptr, 0)) {
            resolve_any(event);
        } else {
            read_text(ev_, event.type);
            read_text(sym_, event.symbol);
            event.kind = EventKind::kMarketData;
            if (__builtin_expect(event.type.length > 2, 0)) event.kind = kind_of_type(event.type);
            if (__builtin_expect(event.type.key == packed("MB"), 0)) event.kind = EventKind::kBarSomehow;
        }
        ev_ = sym_ = nullptr;
    }

    void resolve_any(Event &event) {
        RoutingKeys keys;
        others_[kEv] = ev_;
        others_[kSym] = sym_;
        for (unsigned key = 0; key < kRoutingKeys; ++key) {
            if (others_[key] != nullptr) read_text(others_[key], keys.values[key]);
            others_[key] = nullptr;
        }
        others_seen_ = false;
        resolve(keys, event);
    }

    // Where a quote is in a word, as the high bit of its byte. Only a byte that equals a quote keeps its high bit; bytes outside
    // ASCII, of which that is not so, are refused.
    FPROXY_INLINE static uint64_t quotes_in(uint64_t word) {
        return (0x8080808080808080u - (word ^ 0x2222222222222222u)) & 0x8080808080808080u;
    }

    // The text up to the next quote. Each member is stored where it is to be: a text made elsewhere would be copied in other
    // pieces than it was stored in, for which processors have to wait.
    FPROXY_INLINE void read_text(const char *begin, Text &text) const {
        const uint64_t word = load8_before(begin, end_);
        const uint64_t quotes = quotes_in(word);
        if (__builtin_expect(quotes == 0, 0)) {
            text = long_text(begin);
            return;
        }
        const unsigned bits = static_cast<unsigned>(__builtin_ctzll(quotes)) & ~7u;
        text.data = begin;
        text.length = bits / 8;
        text.key = word & ((uint64_t{1} << bits) - 1);
    }

    // The same of one that has at least eight characters: those of options have some twenty.
    Text long_text(const char *begin) const {
        if (end_ - begin < 8) return Text{};  // there is no quote
        const char *at = begin + 8;
        for (; end_ - at >= 8; at += 8) {
            const uint64_t quotes = quotes_in(load8(at));
            if (quotes != 0) return Text::of(begin, static_cast<size_t>(at - begin) + static_cast<unsigned>(__builtin_ctzll(quotes)) / 8);
        }
        while (at < end_ && *at != '"') ++at;
        return Text::of(begin, static_cast<size_t>(at - begin));
    }
};
