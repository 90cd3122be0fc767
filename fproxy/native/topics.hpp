// All that a client may subscribe to: topics of one symbol, of all, of everything (topic_table.hpp), and of all symbols that
// begin alike (prefix_table.hpp). One kind of number for both.
#pragma once

#include <cstdint>
#include <string_view>

#include "prefix_table.hpp"
#include "topic_table.hpp"

namespace fproxy {

class Topics {
  public:
    explicit Topics(uint64_t seed) : table_(seed), prefixes_(seed ^ 0x9E3779B97F4A7C15u) {}

    TopicTable &table() { return table_; }
    const TopicTable &table() const { return table_; }

    // Whether any audience has a prefix: else nobody needs to ask match_prefix().
    bool has_prefixes() const { return !prefixes_.empty(); }

    // The topic of a type and a symbol, made when it is new; see TopicTable::topic. A symbol of more than one character that
    // ends with a star stands for all that begin with what is before it.
    TopicId topic(const Text &type, const Text &symbol) {
        if (symbol.length < 2 || symbol.data[symbol.length - 1] != '*' || type.length == 0) return table_.topic(type, symbol);
        return prefixes_.number(type, std::string_view(symbol.data, symbol.length - 1)) | kPrefix;
    }

    void forget_unused(TopicId id) {
        if (is_prefix(id))
            prefixes_.forget_unused(id & ~kPrefix);
        else
            table_.forget_unused(id);
    }

    bool trim() { return table_.trim(); }

    // Give a topic to an audience that does not have it.
    void add(TopicId id, uint32_t audience) {
        if (is_prefix(id))
            prefixes_.add(id & ~kPrefix, audience);
        else
            table_.add(id, audience);
    }

    // Take a topic from an audience. `has(topic)` tells what the audience has besides it.
    template <class Has>
    void remove(TopicId id, uint32_t audience, Has has) {
        if (is_prefix(id))
            prefixes_.remove(id & ~kPrefix, audience, [&has](uint32_t number) { return has(number | kPrefix); });
        else
            table_.remove(id, audience, has);
    }

    // How many rows a topic puts an audience in, about; and how to give it to one, or take it away, piece by piece: see TopicTable.
    size_t rows_under(TopicId id) const { return is_prefix(id) ? 1 : table_.rows_under(id); }
    void begin_to_add(TopicId id, uint32_t audience) { table_.begin_to_add(id, audience); }
    bool add_some(TopicId id, uint32_t audience, RowWalk &walk, size_t &most) { return table_.add_some(id, audience, walk, most); }
    bool remove_all_some(TopicId id, uint32_t audience, RowWalk &walk, size_t &most) {
        return table_.remove_all_some(id, audience, walk, most);
    }

    uint64_t fingerprint(TopicId id) const {
        return is_prefix(id) ? prefixes_.fingerprint(id & ~kPrefix) : table_.fingerprint(id);
    }

    // The audiences that take an event by the beginning of its symbol, some of which may take it by another topic too; null
    // when none does, or the event does not count from that upstream.
    const AudienceSet *match_prefix(const Event &event, unsigned source) {
        if (event.symbol.length == 0) return nullptr;
        const AudienceSet *const audiences = prefixes_.match(event.type, event.symbol);
        return audiences != nullptr && table_.counts(event, source) ? audiences : nullptr;
    }

    // Add the audiences of a bar whose interval is not known; see TopicTable::match_any_bar.
    void match_any_bar(const Event &event, unsigned source, AudienceSet &audiences) const {
        table_.match_any_bar(event, source, audiences);
        if (has_prefixes() && table_.bars_count(source)) prefixes_.match_any_bar(event.symbol, audiences);
    }

  private:
    static constexpr TopicId kPrefix = TopicId{1} << 31;

    TopicTable table_;
    PrefixTable prefixes_;

    static bool is_prefix(TopicId id) { return (id & kPrefix) != 0; }
};

}  // namespace fproxy
