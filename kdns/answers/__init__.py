"""From a request to its reply: the reply cache, server blocks, the encoding, the counting."""
