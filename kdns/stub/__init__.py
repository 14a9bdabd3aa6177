"""What an application's resolver does with a name: search lists, order of questions, when it gives up.

``resolver_config`` says what it is told to do, ``flavours`` what glibc, musl and Go make of that, ``walk``
asks accordingly and reports each question.
"""
