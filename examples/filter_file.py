"""Filter a file of the vendor's messages: the events of some topics, byte for byte, without decoding them.

Each line of the file is one message, a JSON array of events. One that is not sound JSON is told of and passed over::

    python examples/filter_file.py messages.jsonl 'T.AAPL,Q.*'
"""

import sys
from pathlib import Path

import fproxy


class Printer:
    """A sink: gets WebSocket frames, each with a JSON array, and prints the events in them."""

    def write(self, frames: bytes) -> None:
        """Take whole, unmasked text frames (RFC 6455, section 5.2)."""
        while frames:
            length, start = frames[1], 2
            if length == 126:
                length, start = int.from_bytes(frames[2:4], "big"), 4
            elif length == 127:
                length, start = int.from_bytes(frames[2:10], "big"), 10
            for event in fproxy.scan(frames[start : start + length]):
                print(event.raw.decode())
            frames = frames[start + length :]


def main(file: Path, topics: str) -> None:
    """Print the events of ``topics``, separated by commas, in the order of the file."""
    fanout = fproxy.Fanout()
    fanout.subscribe(fanout.add_client(Printer()), [fproxy.parse_topic(topic) for topic in topics.split(",")])
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                fanout.feed(0, line)
            except fproxy.FrameError as error:
                print(f"line {number}: {error}", file=sys.stderr)
            fanout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
