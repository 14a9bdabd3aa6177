/* Sends the messages of a file to 127.0.0.1 over UDP and measures the replies.
 *
 * Usage: load [-s SECONDS] [-c SOCKETS] [-w WINDOW] [-r RATE] [-t TIMEOUT] [-1] PORT FILE
 *
 * FILE holds DNS messages, each preceded by its length in two octets, as over TCP (RFC 1035 section 4.2.2).
 * Their message IDs are replaced. The file is sent again from its beginning until SECONDS (at most 300) have
 * passed; with -1 it is sent once at most. Without -r each socket has up to WINDOW queries waiting for their
 * replies (closed loop); with -r, RATE queries per second are sent whether or not replies arrive (open loop).
 * A query without a reply after TIMEOUT seconds is lost. The last line is a JSON object; times in microseconds. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_SOCKETS = 256,
    IDS = 65536,
    MAX_WINDOW = IDS - 1,
    BUCKET_US = 10, /* resolution of the latencies */
    BUCKETS = 1000000,
    BATCH = 64, /* datagrams read from a socket before the others have their turn */
};

struct channel {
    int fd;
    uint16_t next;   /* message ID of the next query */
    uint16_t oldest; /* of the oldest query that may still wait */
    unsigned waiting;
    double *sent_at; /* by message ID; 0: does not wait */
};

static struct {
    double seconds, timeout;
    unsigned sockets, window;
    double rate;
    int once;
} option = {.seconds = 2.5, .timeout = 2, .sockets = 4, .window = 25};

static struct {
    unsigned char *data;
    size_t size, at;
    int ended;
} messages;

static struct {
    long sent, answered, lost, rcodes[16];
    double longest;
    uint32_t *latencies;
} count;

static struct channel channels[MAX_SOCKETS];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void read_messages(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        fail(path);
    messages.size = (size_t)ftell(file);
    rewind(file);
    messages.data = malloc(messages.size + 1);
    if (!messages.data || fread(messages.data, 1, messages.size, file) != messages.size)
        fail(path);
    fclose(file);
    for (size_t at = 0, length; at < messages.size; at += 2 + length) {
        length = messages.size - at < 2 ? 0 : (size_t)(messages.data[at] << 8 | messages.data[at + 1]);
        if (length < 12 || at + 2 + length > messages.size) {
            fprintf(stderr, "%s: not a file of messages\n", path);
            exit(2);
        }
    }
}

static void open_channel(struct channel *channel, int port)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int room = 4 * 1024 * 1024;
    channel->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (channel->fd < 0 || connect(channel->fd, (struct sockaddr *)&server, sizeof server))
        fail("connect");
    setsockopt(channel->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    channel->sent_at = calloc(IDS, sizeof *channel->sent_at);
    if (!channel->sent_at)
        fail("calloc");
}

/* Stops waiting for the oldest query. IDs are given in order, so that it comes first. */
static void pass_oldest(struct channel *channel)
{
    double *at = &channel->sent_at[channel->oldest++];
    if (*at > 0) {
        *at = 0;
        channel->waiting--;
        count.lost++;
    }
}

static void expire(struct channel *channel, double before)
{
    while (channel->oldest != channel->next && channel->sent_at[channel->oldest] <= before)
        pass_oldest(channel);
}

/* Sends the next message; false when there is none, or no room for it. */
static int send_next(struct channel *channel)
{
    if (messages.at == messages.size) {
        messages.ended = option.once || !messages.size;
        if (messages.ended)
            return 0;
        messages.at = 0;
    }
    unsigned char *message = messages.data + messages.at + 2;
    size_t length = (size_t)(message[-2] << 8 | message[-1]);
    message[0] = (unsigned char)(channel->next >> 8);
    message[1] = (unsigned char)channel->next;
    double at = now();
    if ((uint16_t)(channel->next + 1) == channel->oldest)
        pass_oldest(channel); /* 65,535 were sent since */
    if (send(channel->fd, message, length, 0) < 0)
        return 0;
    messages.at += 2 + length;
    channel->sent_at[channel->next++] = at;
    channel->waiting++;
    count.sent++;
    return 1;
}

static void receive(struct channel *channel)
{
    static unsigned char reply[65536];
    for (int at = 0; at < BATCH; at++) {
        ssize_t length = recv(channel->fd, reply, sizeof reply, 0);
        if (length < 0)
            return; /* nothing more, or an ICMP error, which is for the timeout */
        uint16_t id = (uint16_t)(reply[0] << 8 | reply[1]);
        if (length < 12 || !(reply[2] & 0x80) || channel->sent_at[id] == 0)
            continue;
        double took = (now() - channel->sent_at[id]) * 1e6;
        size_t bucket = (size_t)(took / BUCKET_US);
        count.latencies[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
        if (took > count.longest)
            count.longest = took;
        channel->sent_at[id] = 0;
        channel->waiting--;
        count.answered++;
        count.rcodes[reply[3] & 15]++;
    }
}

static unsigned waiting(void)
{
    unsigned sum = 0;
    for (unsigned at = 0; at < option.sockets; at++)
        sum += channels[at].waiting;
    return sum;
}

/* Sends what is due. Returns the seconds after which to look again. */
static double send_due(double elapsed)
{
    static unsigned turn;
    if (option.rate > 0) {
        while (count.sent < elapsed * option.rate)
            if (!send_next(&channels[turn++ % option.sockets]))
                return 0.001;
        double pause = (double)(count.sent + 1) / option.rate - elapsed;
        return pause < 0.01 ? pause : 0.01;
    }
    for (unsigned at = 0; at < option.sockets; at++)
        while (channels[at].waiting < option.window && send_next(&channels[at]))
            ;
    return 0.01;
}

static double quantile(double share)
{
    long sum = 0;
    for (size_t at = 0; at < BUCKETS; at++)
        if ((sum += count.latencies[at]) >= share * (double)count.answered)
            return (double)at * BUCKET_US;
    return 0;
}

static void report(double seconds)
{
    static const char *names[16] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
    printf("{\"sent\":%ld,\"answered\":%ld,\"lost\":%ld,\"seconds\":%.6f,\"p50\":%.0f,\"p99\":%.0f,"
           "\"longest\":%.0f,\"rcodes\":{",
           count.sent, count.answered, count.lost, seconds, quantile(0.5), quantile(0.99), count.longest);
    for (int at = 0, some = 0; at < 16; at++)
        if (count.rcodes[at])
            printf("%s\"%s\":%ld", some++ ? "," : "", names[at] ? names[at] : "other", count.rcodes[at]);
    printf("}}\n");
}

static void read_options(int argc, char **argv)
{
    for (int letter; (letter = getopt(argc, argv, "s:c:w:r:t:1")) != -1;)
        switch (letter) {
        case 's': option.seconds = atof(optarg); break;
        case 'c': option.sockets = (unsigned)atoi(optarg); break;
        case 'w': option.window = (unsigned)atoi(optarg); break;
        case 'r': option.rate = atof(optarg); break;
        case 't': option.timeout = atof(optarg); break;
        case '1': option.once = 1; break;
        default: exit(2);
        }
    if (optind + 2 != argc || option.sockets < 1 || option.sockets > MAX_SOCKETS || option.window > MAX_WINDOW) {
        fprintf(stderr, "usage: load [-s SECONDS] [-c SOCKETS] [-w WINDOW] [-r RATE] [-t TIMEOUT] [-1] PORT FILE\n");
        exit(2);
    }
    if (option.seconds > 300)
        option.seconds = 300;
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    read_messages(argv[optind + 1]);
    count.latencies = calloc(BUCKETS, sizeof *count.latencies);
    if (!count.latencies)
        fail("calloc");
    struct pollfd polls[MAX_SOCKETS];
    for (unsigned at = 0; at < option.sockets; at++) {
        open_channel(&channels[at], atoi(argv[optind]));
        polls[at] = (struct pollfd){.fd = channels[at].fd, .events = POLLIN};
    }
    double start = now(), time = start, last = start;
    while (time < start + option.seconds + option.timeout) {
        int sending = time < start + option.seconds && !messages.ended;
        double pause = sending ? send_due(time - start) : 0.01;
        if (sending)
            last = time;
        else if (!waiting())
            break;
        struct timespec patience = {.tv_nsec = pause > 0 ? (long)(pause * 1e9) : 0};
        ppoll(polls, option.sockets, &patience, NULL);
        for (unsigned at = 0; at < option.sockets; at++)
            if (polls[at].revents)
                receive(&channels[at]);
        time = now();
        for (unsigned at = 0; at < option.sockets; at++)
            expire(&channels[at], time - option.timeout);
    }
    count.lost += waiting();
    report(last - start);
    return 0;
}
