/*
 * What a name leads to, for one process (LD_PRELOAD): the names in TEST_NAMES and no others, and
 * no name server is asked.
 *
 * TEST_NAMES is "name answer answer;name answer": the first look-up of a name gives its first
 * answer, and so on; the last one stays. An answer is "address" or "address+address". What was
 * looked up goes into the file TEST_NAMES_LOG, a line for each. The answer "hangs" never comes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MOST 64

static atomic_uint looked_up[MOST];

static void write_down(const char *node)
{
	int log = open(getenv("TEST_NAMES_LOG"), O_WRONLY | O_APPEND | O_CLOEXEC);
	char line[512];
	int len = snprintf(line, sizeof line, "%s\n", node);
	if (log < 0 || len >= (int)sizeof line || write(log, line, len) != len)
		abort();
	close(log);
}

/* The answer whose turn it is; the name itself if there is none for it. */
static char *answer(const char *node, char *names)
{
	char *entries, *words;
	unsigned number = 0;
	for (char *entry = strtok_r(names, ";", &entries); entry && number < MOST;
	     entry = strtok_r(NULL, ";", &entries), number++) {
		if (strcasecmp(strtok_r(entry, " ", &words), node) != 0)
			continue;
		unsigned turn = atomic_fetch_add(&looked_up[number], 1);
		char *found = strtok_r(NULL, " ", &words), *next;
		while (turn-- > 0 && (next = strtok_r(NULL, " ", &words)))
			found = next;
		return found;
	}
	return (char *)node;
}

int getaddrinfo(const char *restrict node, const char *restrict service,
		const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
		dlsym(RTLD_NEXT, "getaddrinfo");
	struct addrinfo numeric = *hints;
	char *names = strdup(getenv("TEST_NAMES")), *rest;
	int error = EAI_NONAME;
	write_down(node);
	numeric.ai_flags |= AI_NUMERICHOST;
	char *all = strdup(answer(node, names));
	while (strcmp(all, "hangs") == 0)
		pause();
	for (char *one = strtok_r(all, "+", &rest); one; one = strtok_r(NULL, "+", &rest)) {
		error = real(one, service, &numeric, found);
		if (error)
			break;
		/* glibc frees each link of the list by itself, so lists may be joined. */
		while (*found)
			found = &(*found)->ai_next;
	}
	free(all);
	free(names);
	return error;
}
