/* The part of getent(1) that a test asks, for an image that has musl and no getent: each NAME or ADDRESS as
   getaddrinfo(3) and getnameinfo(3) of the C library that this is linked with resolve it.

   resolve ahosts NAME…     an address and the canonical name, a line for each
   resolve hosts ADDRESS…   the address and its name; of a name, as ahosts
   Exit status 2 where something is not known, after the library's own words for it. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>

static int print_error(const char *what, int code)
{
	fprintf(stderr, "%s: %s\n", what, gai_strerror(code));
	return 2;
}

static int print_name(const char *given, const struct addrinfo *address)
{
	char name[NI_MAXHOST];
	int code = getnameinfo(address->ai_addr, address->ai_addrlen, name, sizeof name, NULL, 0, NI_NAMEREQD);
	if (code)
		return print_error(given, code);
	printf("%s %s\n", given, name);
	return 0;
}

static int print_addresses(const struct addrinfo *first)
{
	char text[NI_MAXHOST];
	for (const struct addrinfo *each = first; each; each = each->ai_next) {
		getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
		printf("%s %s\n", text, first->ai_canonname ? first->ai_canonname : "");
	}
	return 0;
}

static int resolve(const char *given, int backwards)
{
	struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
	int code = backwards ? getaddrinfo(given, NULL, &wanted, &found) : EAI_NONAME;
	int is_name = code != 0;
	wanted.ai_flags = AI_CANONNAME;
	if (is_name)
		code = getaddrinfo(given, NULL, &wanted, &found);
	if (code)
		return print_error(given, code);
	code = is_name ? print_addresses(found) : print_name(given, found);
	freeaddrinfo(found);
	return code;
}

int main(int argc, char **argv)
{
	int status = 0;
	for (int i = 2; i < argc; i++) {
		int code = resolve(argv[i], !strcmp(argv[1], "hosts"));
		status = code ? code : status;
	}
	return status;
}
