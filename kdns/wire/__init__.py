"""The DNS wire format: names, messages, RDATA, question parsing, encoding. Pure: bytes and values only."""
