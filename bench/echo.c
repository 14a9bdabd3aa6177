/* The least that any UDP server does: take a datagram, send it back. Ends with its parent.
 * Usage: echo PORT (on 127.0.0.1). Sets QR, so that a load generator takes the query for a reply. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int room = 4 * 1024 * 1024; /* as kdns asks for */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) < 0) {
        perror("bind");
        return 1;
    }
    for (;;) {
        unsigned char data[65536];
        struct sockaddr_in client;
        socklen_t size = sizeof client;
        ssize_t length = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&client, &size);
        if (length < 12)
            continue;
        data[2] |= 0x80;
        sendto(fd, data, (size_t)length, 0, (struct sockaddr *)&client, size);
    }
}
