/* Sends prepared HTTP/1.1 requests to 127.0.0.1 and measures the answers; prints one line of JSON.
 *
 *   replay -p PORT -f FILE -c CONNECTIONS [-k CHAIN] [-d SECONDS] [-r RATE] [-l] [-b BODIES]
 *
 * FILE holds requests, each as its length in decimal, a newline, and its bytes. Every connection takes CHAIN of them at a
 * time, in order, one after the other (default 1). Ends with the file, with -l goes round in it, and after SECONDS at
 * the latest starts no more. Without -r a connection sends again as soon as it was answered (closed model). With -r
 * request n is meant to be sent at n/RATE seconds whatever is still under way, and its latency counts from that instant:
 * what waits for a free connection is not left out (open model, no coordinated omission). BODIES receives all answers'
 * bodies, each as the number of its request in FILE, its length, a newline, and its bytes. Latencies are milliseconds.
 * The body of the first answer that refuses goes to stderr. Exit status 0 when everything was answered, whatever the
 * status; 1 otherwise.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 30.0 /* seconds answers may still come after the last request */
#define ROOM (64 * 1024)

typedef struct { const char *bytes; size_t length; } Request;
typedef struct { int fd; char *buffer; size_t used, room; long request; int left; double due; } Connection;

static int port, connections = 1, chain = 1;
static double seconds = 3600, rate, began, last;
static bool loop;
static FILE *bodies;
static Request *requests;
static long count, taken, under_way, answered, refused, statuses[1000];
static float *latencies;
static long latencies_room;

static void fail(const char *what) { perror(what); exit(2); }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *grown(void *memory, size_t size) {
    void *more = realloc(memory, size);
    if (!more) fail("realloc");
    return more;
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "r");
    struct stat status;
    if (!file || fstat(fileno(file), &status)) fail(path);
    char *all = grown(NULL, (size_t)status.st_size + 1);
    if (fread(all, 1, (size_t)status.st_size, file) != (size_t)status.st_size) fail(path);
    fclose(file);
    all[status.st_size] = 0;
    for (char *at = all, *end = all + status.st_size; at < end;) {
        if (!(count & (count - 1))) requests = grown(requests, sizeof *requests * (size_t)(count ? count * 2 : 1));
        size_t length = strtoul(at, &at, 10);
        requests[count++] = (Request){++at, length};
        at += length;
    }
}

static void connect_to_server(Connection *connection) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
}

static void watch(int poller, Connection *connection) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event)) fail("epoll_ctl");
}

/* Requests are small: waiting for the kernel to take one holds nobody up for long. */
static bool send_request(Connection *connection) {
    Request request = requests[connection->request % count];
    for (size_t sent = 0; sent < request.length;) {
        ssize_t wrote = send(connection->fd, request.bytes + sent, request.length - sent, MSG_NOSIGNAL);
        if (wrote >= 0) {
            sent += (size_t)wrote;
        } else if (errno == EAGAIN) {
            struct pollfd writable = {.fd = connection->fd, .events = POLLOUT};
            poll(&writable, 1, 1000);
        } else {
            return false;
        }
    }
    connection->used = 0;
    return true;
}

static const char *header(const char *head, const char *end, const char *name) {
    size_t length = strlen(name);
    for (const char *line = head; (line = memchr(line, '\n', (size_t)(end - line))) && ++line < end;)
        if (!strncasecmp(line, name, length)) return line + length + strspn(line + length, " ");
    return NULL;
}

/* The length of the answer in the buffer and where its body begins; 0 while it is not whole. */
static size_t whole(const Connection *connection, size_t *body) {
    char *buffer = connection->buffer, *end = memmem(buffer, connection->used, "\r\n\r\n", 4);
    if (!end) return 0;
    *body = (size_t)(end + 4 - buffer);
    int status = atoi(buffer + 9);
    bool bare = status == 204 || status == 304 || !strncmp(requests[connection->request % count].bytes, "HEAD ", 5);
    if (bare) return *body;
    const char *length = header(buffer, end + 2, "content-length:");
    if (length) {
        size_t total = *body + strtoul(length, NULL, 10);
        return connection->used >= total ? total : 0;
    }
    for (size_t at = *body; at < connection->used;) { /* chunked */
        char *line = memmem(buffer + at, connection->used - at, "\r\n", 2);
        if (!line) return 0;
        size_t chunk = strtoul(buffer + at, NULL, 16);
        at = (size_t)(line + 2 - buffer) + chunk + 2;
        if (!chunk) return connection->used >= at ? at : 0;
    }
    return 0;
}

static void note(const Connection *connection, size_t body, size_t end) {
    int status = atoi(connection->buffer + 9);
    if (answered == latencies_room) {
        latencies_room = latencies_room ? latencies_room * 2 : 4096;
        latencies = grown(latencies, sizeof *latencies * (size_t)latencies_room);
    }
    last = now();
    latencies[answered++] = (float)((last - connection->due) * 1e3);
    if (status >= 400 && !refused++) fprintf(stderr, "%.*s", (int)(end - body), connection->buffer + body);
    statuses[status > 0 && status < 1000 ? status : 0]++;
    if (bodies) {
        fprintf(bodies, "%ld %zu\n", connection->request % count, end - body);
        fwrite(connection->buffer + body, 1, end - body, bodies);
    }
}

/* Whether one more chain may begin now. */
static bool more(void) {
    if (!loop && taken + chain > count) return false;
    return (rate ? (double)taken / rate : now() - began) < seconds;
}

static bool begin(Connection *connection) {
    if (!more()) return false;
    double due = rate ? began + (double)taken / rate : now();
    if (rate && due > now()) return false;
    connection->request = taken;
    connection->left = chain;
    connection->due = due;
    taken += chain;
    under_way++;
    return true;
}

static void restart(int poller, Connection *connection) {
    close(connection->fd);
    connect_to_server(connection);
    watch(poller, connection);
}

static void transmit(int poller, Connection *connection) {
    if (send_request(connection)) return;
    restart(poller, connection);
    if (!send_request(connection)) fail("send");
}

/* Takes what came; true when the connection's chain has ended. */
static bool receive(int poller, Connection *connection) {
    if (connection->room - connection->used < ROOM / 2)
        connection->buffer = grown(connection->buffer, connection->room += ROOM);
    ssize_t got = recv(connection->fd, connection->buffer + connection->used, connection->room - connection->used, 0);
    if (got < 0 && errno == EAGAIN) return false;
    if (got <= 0) { /* closed under us: the request has no answer, its chain ends here */
        restart(poller, connection);
        if (connection->left) statuses[0]++;
        return connection->left > 0;
    }
    connection->used += (size_t)got;
    size_t body = 0, end = connection->left ? whole(connection, &body) : 0;
    if (!end) return false;
    note(connection, body, end);
    const char *closing = header(connection->buffer, connection->buffer + body, "connection:");
    if (closing && !strncasecmp(closing, "close", 5)) restart(poller, connection);
    if (--connection->left == 0) return true;
    connection->request++;
    connection->due = now();
    transmit(poller, connection);
    return false;
}

static void set_alarm(int timer) {
    double due = began + (double)taken / rate;
    struct itimerspec when = {.it_value = {(time_t)due, (long)((due - (double)(time_t)due) * 1e9)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void run(int poller, int timer) {
    Connection **idle = grown(NULL, sizeof *idle * (size_t)connections);
    int free_count = 0;
    for (int i = 0; i < connections; i++) {
        Connection *made = idle[free_count++] = calloc(1, sizeof **idle);
        made->buffer = grown(NULL, made->room = ROOM);
        connect_to_server(made);
        watch(poller, made);
    }
    for (began = last = now();;) {
        while (free_count && begin(idle[free_count - 1])) transmit(poller, idle[--free_count]);
        if (!under_way && !more()) break;
        if (!more() && now() - last > PATIENCE) break;
        if (rate && free_count && more()) set_alarm(timer);
        struct epoll_event events[64];
        int got = epoll_wait(poller, events, 64, 1000);
        for (int i = 0; i < got; i++) {
            Connection *connection = events[i].data.ptr;
            uint64_t ticks;
            if (!connection && read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) fail("timer");
            if (!connection || !receive(poller, connection)) continue;
            connection->left = 0;
            under_way--;
            idle[free_count++] = connection;
        }
    }
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float percentile(double part) { return answered ? latencies[(long)((double)(answered - 1) * part)] : 0; }

static int report(void) {
    qsort(latencies, (size_t)answered, sizeof *latencies, by_size);
    printf("{\"requests\": %ld, \"seconds\": %.6f, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f,", answered,
           last - began, percentile(0.5), percentile(0.9), percentile(0.99), percentile(1));
    printf(" \"unanswered\": %ld, \"statuses\": {", under_way + statuses[0]);
    const char *comma = "";
    for (int i = 1; i < 1000; i++)
        if (statuses[i]) printf("%s\"%d\": %ld", comma, i, statuses[i]), comma = ", ";
    printf("}}\n");
    return under_way + statuses[0] ? 1 : 0;
}

int main(int argc, char **argv) {
    const char *file = NULL;
    for (int option; (option = getopt(argc, argv, "p:f:c:k:d:r:lb:")) != -1;) {
        if (option == 'p') port = atoi(optarg);
        else if (option == 'f') file = optarg;
        else if (option == 'c') connections = atoi(optarg);
        else if (option == 'k') chain = atoi(optarg);
        else if (option == 'd') seconds = atof(optarg);
        else if (option == 'r') rate = atof(optarg);
        else if (option == 'l') loop = true;
        else if (option == 'b') bodies = fopen(optarg, "w");
        else return 2;
    }
    if (!file || !port) return fprintf(stderr, "-p and -f are needed\n"), 2;
    read_requests(file);
    int poller = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event alarm = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &alarm);
    run(poller, timer);
    if (bodies) fclose(bodies);
    return report();
}
