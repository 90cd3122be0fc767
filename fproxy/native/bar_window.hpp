// One window of one symbol: what its trades add up to, by the rules of fproxy/core/trade_conditions.py, and the bar that
// it becomes.
#pragma once

#include <cstdint>
#include <string>

#include "decimal_sum.hpp"
#include "trade_scan.hpp"

namespace fproxy::bars {

// The volume-weighted price has four decimals, as the vendor's; more when a price of the window has more.
constexpr int kMeanDecimals = 4;

struct Window {
    int64_t start;
    Window *older = nullptr;  // the open windows of one symbol and interval, by time
    Window *newer = nullptr;
    uint64_t first_trade;     // the number of the trade that opened it, in order of arrival
    uint32_t symbol;          // kNoSymbol once nobody wants the window any more
    uint32_t trades = 0;
    bool has_price = false;       // a trade has set high and low, and for want of better open and close
    bool has_open_close = false;  // a trade has set open and close that may
    uint8_t decimals = kMeanDecimals;
    Decimal open, high, low, close;
    int64_t open_time = 0, close_time = 0;
    DecimalSum volume, notional;

    static constexpr uint32_t kNoSymbol = UINT32_MAX;

    Window(int64_t window_start, uint32_t symbol_index, uint64_t arrival)
        : start(window_start), first_trade(arrival), symbol(symbol_index) {
        volume.scale = kSizeScale;
        notional.scale = kPriceScale + kSizeScale;
    }

    // Count a trade; `notional_amount` is its price times its size. Open and close are the first and last by the trades'
    // times; among trades of the same millisecond, by arrival.
    void count(const Trade &trade, Wide notional_amount) {
        if (trade.price.scale > decimals) decimals = static_cast<uint8_t>(trade.price.scale);
        if (trade.effect & kVolume) {
            volume.add(trade.size.digits, trade.size.scale);
            notional.add(notional_amount, trade.price.scale + trade.size.scale);
            ++trades;
        }
        if (!(trade.effect & kHighLow)) return;
        const bool sets_open_close = (trade.effect & kOpenClose) != 0;
        if (!has_price) {
            high = low = trade.price;
            has_price = true;
            set_open_close(trade, sets_open_close);
            return;
        }
        if (high < trade.price) high = trade.price;
        if (trade.price < low) low = trade.price;
        if (sets_open_close && !has_open_close) return set_open_close(trade, true);
        if (sets_open_close != has_open_close) return;
        if (trade.time < open_time) {
            open = trade.price;
            open_time = trade.time;
        }
        if (trade.time >= close_time) {
            close = trade.price;
            close_time = trade.time;
        }
    }

    // Append the bar's members from the open to the count of trades, with or without the volume and what goes by it.
    void write(std::string &text, bool has_volume) const {
        char buffer[7 * kLongestDecimal + 64];
        char *at = buffer;
        const auto member = [&at](const char *name, Wide digits, int scale) {
            while (*name != '\0') *at++ = *name++;
            at = write_decimal(at, digits, scale);
        };
        member("\"o\":", open.digits, open.scale);
        member(",\"h\":", high.digits, high.scale);
        member(",\"l\":", low.digits, low.scale);
        member(",\"c\":", close.digits, close.scale);
        if (has_volume) {
            member(",\"v\":", volume.digits, volume.scale);
            if (volume.digits == 0)
                member(",\"vw\":", close.digits, close.scale);
            else
                member(",\"vw\":", weighted_mean(notional, volume, decimals), decimals);
        }
        member(",\"n\":", trades, 0);
        text.append(buffer, static_cast<size_t>(at - buffer));
    }

  private:
    void set_open_close(const Trade &trade, bool proper) {
        open = close = trade.price;
        open_time = close_time = trade.time;
        has_open_close = proper;
    }
};

}  // namespace fproxy::bars
