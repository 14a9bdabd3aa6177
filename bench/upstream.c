/* A name server that knows every name, over UDP and TCP on 127.0.0.1: the rest of the world for `forward`.
 *
 * Usage: upstream PORT [silent]
 *
 * A is 192.0.2.1. TXT at a name that begins with "big" is 3,000 octets, truncated over UDP where the client has
 * no room for it. A name that begins with "nx" does not exist; everything else is NODATA. TTLs are an hour,
 * negative ones 30 s. With `silent` it reads queries and never replies. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 12, TYPE_A = 1, TYPE_TXT = 16, NXDOMAIN = 3, LARGEST = 8192, BIG_STRINGS = 12, BIG_STRING = 249 };

static int silent;

/* Owner: the name in the question; class IN; TTL 3600. Type and RDATA follow. */
static const unsigned char a_record[] = {0xc0, HEADER, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 1};
static const unsigned char txt_head[] = {0xc0, HEADER, 0, 16, 0, 1, 0, 0, 14, 16};
static const unsigned char soa[] = {0, 0, 6, 0, 1, 0, 0, 0, 30, 0, 22, 0, 0, 0, 0, 0, 1,
                                    0, 0, 14, 16, 0, 0, 2, 88, 0, 9, 58, 128, 0, 0, 0, 30};
static const unsigned char opt[] = {0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0};

static unsigned char *append(unsigned char *at, const void *data, size_t length)
{
    memcpy(at, data, length);
    return at + length;
}

static unsigned char *append_big(unsigned char *at)
{
    unsigned length = BIG_STRINGS * (BIG_STRING + 1);
    at = append(at, txt_head, sizeof txt_head);
    *at++ = (unsigned char)(length >> 8);
    *at++ = (unsigned char)length;
    for (int string = 0; string < BIG_STRINGS; string++) {
        *at++ = BIG_STRING;
        memset(at, 'x', BIG_STRING);
        at += BIG_STRING;
    }
    return at;
}

/* Makes a reply of the query in `m`, of at most `limit` octets (0: any). Returns its length, 0 for none. */
static size_t reply(unsigned char *m, size_t length, size_t limit)
{
    size_t end = HEADER;
    while (end < length && m[end])
        end += m[end] + 1u;
    end += 5;
    if (silent || length < HEADER + 5 || length > 1024 || end > length)
        return 0;
    unsigned type = (unsigned)(m[end - 4] << 8 | m[end - 3]), edns = m[11];
    const char *name = (const char *)m + HEADER + 1;
    int missing = m[HEADER] >= 2 && !strncasecmp(name, "nx", 2);
    int big = type == TYPE_TXT && m[HEADER] >= 3 && !strncasecmp(name, "big", 3);
    if (limit)
        limit = edns && end + 5 <= length ? (size_t)(m[end + 3] << 8 | m[end + 4]) : 512;
    m[2] |= 0x80;
    m[3] = (unsigned char)(0x80 | (missing ? NXDOMAIN : 0));
    memset(m + 6, 0, 6);
    unsigned char *at = m + end;
    if (big && limit && limit < BIG_STRINGS * (BIG_STRING + 1) + 300)
        m[2] |= 2; /* TC */
    else if (!missing && (big || type == TYPE_A)) {
        m[7] = 1;
        at = big ? append_big(at) : append(at, a_record, sizeof a_record);
    } else {
        m[9] = 1;
        at = append(at, soa, sizeof soa);
    }
    if (edns) {
        m[11] = 1;
        at = append(at, opt, sizeof opt);
    }
    return (size_t)(at - m);
}

static int bound(int kind, int port)
{
    int fd = socket(AF_INET, kind, 0), room = 8 * 1024 * 1024, yes = 1;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own)) {
        perror("bind");
        exit(1);
    }
    return fd;
}

static int read_exactly(int fd, unsigned char *to, size_t length)
{
    for (ssize_t got; length; to += got, length -= (size_t)got)
        if ((got = read(fd, to, length)) <= 0)
            return 0;
    return 1;
}

static void *serve_connection(void *argument)
{
    int fd = (int)(intptr_t)argument;
    unsigned char m[2 + LARGEST];
    while (read_exactly(fd, m, 2)) {
        size_t length = (size_t)(m[0] << 8 | m[1]);
        if (length > 1024 || !read_exactly(fd, m + 2, length))
            break;
        if (!(length = reply(m + 2, length, 0)))
            continue;
        m[0] = (unsigned char)(length >> 8);
        m[1] = (unsigned char)length;
        if (send(fd, m, length + 2, MSG_NOSIGNAL) < 0)
            break;
    }
    close(fd);
    return NULL;
}

static void *serve_tcp(void *argument)
{
    int listener = (int)(intptr_t)argument;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd >= 0 && !pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd))
            pthread_detach(thread);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "silent"))) {
        fprintf(stderr, "usage: upstream PORT [silent]\n");
        return 2;
    }
    silent = argc == 3;
    int port = atoi(argv[1]), udp = bound(SOCK_DGRAM, port), tcp = bound(SOCK_STREAM, port);
    pthread_t thread;
    if (listen(tcp, 128) || pthread_create(&thread, NULL, serve_tcp, (void *)(intptr_t)tcp)) {
        perror("listen");
        return 1;
    }
    for (;;) {
        unsigned char m[LARGEST];
        struct sockaddr_in client;
        socklen_t size = sizeof client;
        ssize_t length = recvfrom(udp, m, sizeof m, 0, (struct sockaddr *)&client, &size);
        size_t made = length < 0 ? 0 : reply(m, (size_t)length, 1);
        if (made)
            sendto(udp, m, made, 0, (struct sockaddr *)&client, size);
    }
}
