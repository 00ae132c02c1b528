/* Many MQTT 3.1.1 clients over mutual TLS, on one thread:
 *
 *   mqttload connect [OPTIONS] FLEET    each of -c places: connect, CONNECT, CONNACK, DISCONNECT,
 * and again mqttload publish [OPTIONS] FLEET    -c connections publish to devices/ID/telemetry
 *   mqttload hold    [OPTIONS] FLEET    -c connections, all begun at once, and again where they are
 * lost; each loss, each refusal, and when all are there, is told
 *
 * With -t each publishes one message when it has come, and is told of when that is acknowledged;
 * with -o who is lost stays away.
 *
 * FLEET is PEM, a certificate for each client, whose id is its common name, behind its key or one
 * that it shares with those before. It ends
 * after -s seconds or at SIGTERM; then a line of JSON tells what was done, what it cost this
 * process, and how much failed. Times are those of CLOCK_MONOTONIC, in milliseconds. */
#include "base/buf.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD_MAX 4096
#define READ_BYTES 65536
#define AGAIN_MS 100 /* after a connection that was not taken */
#define EVENTS 1024
#define AT_ONCE 500

enum mode { CONNECT, PUBLISH, HOLD };
enum state { IDLE, CONNECTING, HANDSHAKE, ASKED, SUBSCRIBING, TELLING, UP, REFUSED };
enum packet {
	P_CONNECT = 0x10,
	P_CONNACK = 0x20,
	P_PUBLISH = 0x30,
	P_PUBACK = 0x40,
	P_SUBSCRIBE = 0x82,
	P_SUBACK = 0x90,
	P_PINGREQ = 0xc0,
	P_PINGRESP = 0xd0,
	P_DISCONNECT = 0xe0
};

struct client {
	const struct credentials *who;
	enum state state;
	int fd;
	SSL *ssl;
	struct buf in, out;
	const char *filter; /* to subscribe to; NULL: none */
	size_t stride;	    /* connect: the place's next one of the fleet is so many further */
	double began, again;
	unsigned credit;  /* messages it may send before it hears of them */
	unsigned unheard; /* QoS 0: sent since the last PINGREQ */
	uint16_t mid;
};

struct credentials {
	char id[UUID_LEN + 1];
	X509 *cert;
	EVP_PKEY *key;
};

static struct {
	enum mode mode;
	const char *cafile, *filter, *subscriber;
	int port;
	long connections, seconds, qos, rate, window, payload;
	bool tells, once;
} opt = {.cafile = "ca.pem", .port = 8883, .connections = 32, .window = 20, .payload = 64};

static struct {
	SSL_CTX *ctx;
	int epoll;
	struct credentials *fleet;
	size_t n_fleet;
	struct client *clients; /* the subscriber is the one behind the last */
	size_t n_clients, n_under_way, n_up, n_refused, next;
	long begun, done, sent, received, failed;
	bool whole; /* hold: all are there, and that was said */
	double began;
	float *took; /* connect, hold: ms each */
	size_t n_took, took_cap;
} load;

static volatile sig_atomic_t ends;

_Noreturn __attribute__((format(printf, 1, 2))) static void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("mqttload: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static double
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- who they are
 * --------------------------------------------------------------------------------------------------
 */

/* The next key or certificate; false at the end. */
static bool
block_read(FILE *f, struct credentials *c)
{
	char *name, *header;
	const unsigned char *at;
	unsigned char *der;
	long len;

	if (PEM_read(f, &name, &header, &der, &len) != 1)
		return false;
	at = der;
	c->cert = NULL;
	if (strcmp(name, PEM_STRING_X509) == 0) {
		if ((c->cert = d2i_X509(NULL, &at, len)) == NULL ||
		    X509_NAME_get_text_by_NID(X509_get_subject_name(c->cert), NID_commonName, c->id,
			sizeof c->id) != UUID_LEN)
			die("a certificate that is none of a device or service");
	} else if ((c->key = d2i_AutoPrivateKey(NULL, &at, len)) == NULL) {
		die("%s is no key", name);
	}
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return true;
}

static void
fleet_read(const char *path)
{
	struct credentials c = {0};
	FILE *f = fopen(path, "r");

	if (f == NULL)
		die("cannot read %s", path);
	while (block_read(f, &c)) {
		if (c.cert == NULL)
			continue;
		if (c.key == NULL)
			die("a certificate without a key");
		load.fleet = reallocarray(load.fleet, load.n_fleet + 1, sizeof c);
		if (load.fleet == NULL)
			die("out of memory");
		load.fleet[load.n_fleet++] = c;
	}
	(void)fclose(f);
	if (load.n_fleet < (size_t)opt.connections)
		die("%s has only %zu clients", path, load.n_fleet);
}

/* ---- packets
 * -------------------------------------------------------------------------------------------------------
 */

static void
put_packet(struct buf *out, unsigned kind, const void *body, size_t len)
{
	size_t n = len;

	buf_byte(out, (uint8_t)kind);
	do {
		buf_byte(out, (uint8_t)((n & 127) | (n > 127 ? 128 : 0)));
		n >>= 7;
	} while (n > 0);
	buf_append(out, body, len);
}

static void
put_text(struct buf *out, const char *text)
{
	buf_u16(out, (uint16_t)strlen(text));
	buf_text(out, text);
}

static void
put_connect(struct client *c)
{
	static const uint8_t head[] = {
	    0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0}; /* clean session, no keep-alive */
	struct buf body = {0};

	buf_append(&body, head, sizeof head);
	put_text(&body, c->who->id);
	put_packet(&c->out, P_CONNECT, body.data, body.len);
	buf_clear(&body);
}

static void
put_subscribe(struct client *c)
{
	struct buf body = {0};
	const char *at = strstr(c->filter, "{id}");
	char filter[512];

	if (at != NULL)
		(void)snprintf(filter, sizeof filter, "%.*s%s%s", (int)(at - c->filter), c->filter,
		    c->who->id, at + 4);
	else
		(void)snprintf(filter, sizeof filter, "%s", c->filter);
	buf_u16(&body, 1);
	put_text(&body, filter);
	buf_byte(&body, 0);
	put_packet(&c->out, P_SUBSCRIBE, body.data, body.len);
	buf_clear(&body);
}

static void
put_publish(struct client *c)
{
	static const char payload[PAYLOAD_MAX];
	char topic[64];
	uint8_t packet[PAYLOAD_MAX + 80];
	size_t len;

	len = (size_t)snprintf(topic, sizeof topic, "devices/%s/telemetry", c->who->id);
	packet[0] = (uint8_t)(len >> 8);
	packet[1] = (uint8_t)len;
	memcpy(packet + 2, topic, len);
	len += 2;
	if (opt.qos > 0) {
		c->mid = (uint16_t)(c->mid == UINT16_MAX ? 1 : c->mid + 1);
		packet[len++] = (uint8_t)(c->mid >> 8);
		packet[len++] = (uint8_t)c->mid;
	}
	memcpy(packet + len, payload, (size_t)opt.payload);
	put_packet(&c->out, P_PUBLISH | (unsigned)opt.qos << 1, packet, len + (size_t)opt.payload);
	c->credit--;
	load.sent++;
	/* Nobody acknowledges QoS 0; that the broker has come as far as a PINGREQ behind it tells.
	 */
	if (opt.qos == 0 && ++c->unheard == opt.window) {
		put_packet(&c->out, P_PINGREQ, NULL, 0);
		c->unheard = 0;
	}
}

/* ---- coming and going
 * ---------------------------------------------------------------------------------------------- */

static void
client_close(struct client *c, enum state state)
{
	load.n_up -= c->state == UP;
	load.n_under_way -= c->state > IDLE && c->state < UP;
	SSL_free(c->ssl);
	if (c->fd >= 0)
		(void)close(c->fd);
	buf_clear(&c->in);
	buf_clear(&c->out);
	c->ssl = NULL;
	c->fd = -1;
	c->state = state;
}

/* Lost, or not let in. */
static void
client_fail(struct client *c, const char *why)
{
	double pause_ms = errno == ECONNREFUSED ? AGAIN_MS : 0;
	bool refused = c->state == ASKED;

	bool stays = opt.mode == HOLD && (refused || (opt.once && c->state == UP));

	if (opt.mode == HOLD && (c->state == UP || refused)) {
		(void)printf("%s %s %.3f\n", refused ? "refused" : "lost", c->who->id, now_ms());
		load.whole = load.whole && c->state != UP;
	} else if (opt.mode != HOLD && load.failed++ < 3) {
		(void)fprintf(stderr, "mqttload: %s: %s\n", c->who->id, why);
	}
	if (opt.mode == PUBLISH)
		die("a connection was lost");
	load.n_refused += stays;
	client_close(c, stays ? REFUSED : IDLE);
	c->again = now_ms() + pause_ms;
}

static void
client_begin(struct client *c)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)opt.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
	int one = 1;

	c->began = now_ms();
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || (c->ssl = SSL_new(load.ctx)) == NULL)
		die("no socket: %s", strerror(errno));
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (SSL_use_certificate(c->ssl, c->who->cert) != 1 ||
	    SSL_use_PrivateKey(c->ssl, c->who->key) != 1 || SSL_set_fd(c->ssl, c->fd) != 1)
		die("OpenSSL failed");
	SSL_set_connect_state(c->ssl);
	c->state = CONNECTING;
	load.n_under_way++;
	if (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
		client_fail(c, strerror(errno));
		return;
	}
	if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
		die("epoll: %s", strerror(errno));
}

static void
took_note(const struct client *c)
{
	if (load.n_took == load.took_cap) {
		load.took_cap = load.took_cap * 2 + 1024;
		if ((load.took = reallocarray(load.took, load.took_cap, sizeof *load.took)) == NULL)
			die("out of memory");
	}
	load.took[load.n_took++] = (float)(now_ms() - c->began);
	load.done++;
}

static void
client_up(struct client *c)
{
	if (opt.tells && c->state != TELLING) {
		c->state = TELLING;
		c->credit = 1;
		put_publish(c);
		return;
	}
	if (opt.mode != PUBLISH)
		took_note(c);
	if (opt.mode == CONNECT) {
		put_packet(&c->out, P_DISCONNECT, NULL, 0);
		(void)SSL_write(c->ssl, c->out.data, (int)c->out.len);
		(void)SSL_shutdown(c->ssl);
		client_close(c, IDLE);
		c->who += c->stride;
		if (c->who >= load.fleet + load.n_fleet)
			c->who = load.fleet + (c - load.clients);
		return;
	}
	c->state = UP;
	load.n_under_way--;
	c->credit = (unsigned)opt.window * (opt.qos == 0 ? 2 : 1);
	load.n_up++;
	if (opt.tells)
		(void)printf("up %s %.3f %.3f\n", c->who->id, now_ms(), now_ms() - c->began);
}

/* ---- what they hear
 * ------------------------------------------------------------------------------------------------
 */

static void
client_hear(struct client *c, unsigned kind, const uint8_t *body, size_t len)
{
	switch (kind & 0xf0) {
	case P_CONNACK:
		if (c->state != ASKED || len != 2 || body[1] != 0) {
			client_fail(c, "refused");
		} else if (c->filter != NULL) {
			c->state = SUBSCRIBING;
			put_subscribe(c);
		} else {
			client_up(c);
		}
		break;
	case P_SUBACK:
		if (len != 3 || body[2] > 2)
			client_fail(c, "the subscription was refused");
		else
			client_up(c);
		break;
	case P_PUBACK:
		if (c->state == TELLING) {
			client_up(c);
			break;
		}
		c->credit++;
		load.done++;
		break;
	case P_PINGRESP:
		c->credit += (unsigned)opt.window;
		load.done += opt.window;
		break;
	case P_PUBLISH:
		load.received++;
		break;
	default:
		die("packet %02x is none of ours", kind);
	}
}

/* The first whole packet in IN: its head's length, or 0 if there is none yet. */
static size_t
packet_head(const struct buf *in, size_t *len_out)
{
	size_t n = 0, i = 1;

	for (; i < in->len && i <= 4; i++) {
		n |= (size_t)(in->data[i] & 127) << 7 * (i - 1);
		if ((in->data[i] & 128) == 0) {
			*len_out = n;
			return in->len >= i + 1 + n ? i + 1 : 0;
		}
	}
	return 0;
}

static void
client_read(struct client *c)
{
	static uint8_t bytes[READ_BYTES];
	size_t head, len, used;
	int n;

	while (c->ssl != NULL && (n = SSL_read(c->ssl, bytes, sizeof bytes)) > 0) {
		buf_append(&c->in, bytes, (size_t)n);
		used = 0;
		while (c->ssl != NULL) {
			const struct buf rest = {
			    .data = c->in.data + used, .len = c->in.len - used};

			if ((head = packet_head(&rest, &len)) == 0)
				break;
			used += head + len;
			client_hear(c, rest.data[0], rest.data + head, len);
		}
		if (c->ssl != NULL)
			buf_consume(&c->in, used);
	}
	if (c->ssl != NULL && SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
		client_fail(c, "the connection ended");
}

static void
client_write(struct client *c)
{
	int n;

	while (c->out.len > 0) {
		if ((n = SSL_write(c->ssl, c->out.data, (int)c->out.len)) <= 0) {
			if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_WRITE)
				client_fail(c, "the connection ended");
			return;
		}
		buf_consume(&c->out, (size_t)n);
	}
}

static void
client_shake(struct client *c)
{
	int n = SSL_do_handshake(c->ssl), why = SSL_get_error(c->ssl, n);

	if (n == 1) {
		c->state = ASKED;
		put_connect(c);
	} else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
		client_fail(c, "the handshake failed");
	}
}

static void
client_drive(struct client *c)
{
	socklen_t len = sizeof errno;

	if (c->state == CONNECTING) {
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &errno, &len) != 0 || errno != 0) {
			client_fail(c, strerror(errno));
			return;
		}
		c->state = HANDSHAKE;
	}
	if (c->state == HANDSHAKE)
		client_shake(c);
	if (c->state >= ASKED && c->ssl != NULL) {
		client_write(c);
		if (c->ssl != NULL)
			client_read(c);
		if (c->ssl != NULL)
			client_write(c);
	}
}

/* ---- the load
 * ------------------------------------------------------------------------------------------------------
 */

/* How many may begin now. */
static long
budget(long used)
{
	return opt.rate == 0 ? LONG_MAX
			     : (long)((now_ms() - load.began) * (double)opt.rate / 1e3) - used;
}

/* Not more under way than AT_ONCE, some times what Mosquitto lets wait to be accepted (100): what
 * the kernel drops beyond that, it would ask for again later and later, and the last ones would be
 * back when it pleases. */
static void
begin_idle(long left)
{
	double now = now_ms();
	size_t i;

	for (i = 0; i < load.n_clients + (opt.subscriber != NULL) && left > 0 &&
		    load.n_under_way < AT_ONCE;
	     i++)
		if (load.clients[i].state == IDLE && load.clients[i].again <= now) {
			client_begin(&load.clients[i]);
			load.begun++;
			left--;
		}
}

static void
publish(void)
{
	long left = budget(load.sent);
	size_t i;

	for (i = 0; i < load.n_clients && left > 0; i++) {
		struct client *c = &load.clients[load.next];

		load.next = (load.next + 1) % load.n_clients;
		/* Without a rate each as much as it may, with one in turn. */
		while (c->credit > 0 && left > 0) {
			put_publish(c);
			left--;
			if (opt.rate > 0)
				break;
		}
		if (c->out.len > 0)
			client_write(c);
	}
}

static void
turn(int wait_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(load.epoll, events, EVENTS, wait_ms), i;

	if (n < 0 && errno != EINTR)
		die("epoll: %s", strerror(errno));
	for (i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		if (c->ssl != NULL)
			client_drive(c);
	}
}

static void
on_signal(int number)
{
	(void)number;
	ends = 1;
}

static double
cpu_s(void)
{
	struct rusage used;

	(void)getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static int
compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static double
percentile(double p)
{
	return load.n_took == 0 ? 0 : (double)load.took[(size_t)((double)(load.n_took - 1) * p)];
}

/* Each is there, or was refused. */
static void
tell_whole(void)
{
	if (load.whole || load.n_up != load.n_clients - load.n_refused)
		return;
	load.whole = true;
	(void)printf("all %zu %.3f\n", load.n_up, now_ms());
}

static void
run(void)
{
	const double end_ms = opt.seconds > 0 ? (double)opt.seconds * 1e3 : HUGE_VAL;
	double cpu, ms;

	while (
	    opt.mode == PUBLISH && load.n_up < load.n_clients + (opt.subscriber != NULL) && !ends) {
		begin_idle(LONG_MAX);
		turn(10);
	}
	cpu = cpu_s();
	load.began = now_ms();
	(void)printf("begun %.3f\n", load.began);
	load.begun = 0;
	while (!ends && now_ms() - load.began < end_ms) {
		if (opt.mode == PUBLISH)
			publish();
		else
			begin_idle(opt.mode == CONNECT ? budget(load.begun) : LONG_MAX);
		turn(opt.mode == HOLD ? 10 : 1);
		if (opt.mode == HOLD)
			tell_whole();
	}
	ms = now_ms() - load.began;
	if (load.n_took > 0)
		qsort(load.took, load.n_took, sizeof *load.took, compare);
	(void)printf("{\"done\": %ld, \"seconds\": %.3f, \"rate\": %.1f, \"cpu_s\": %.3f, "
		     "\"received\": %ld, \"failed\": %ld, "
		     "\"p50_ms\": %.2f, \"p99_ms\": %.2f}\n",
	    load.done, ms / 1e3, (double)load.done * 1e3 / ms, cpu_s() - cpu, load.received,
	    load.failed, percentile(0.5), percentile(0.99));
}

static void
prepare(void)
{
	static struct credentials subscriber;
	size_t i;
	FILE *f;

	load.n_clients = (size_t)opt.connections;
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.ctx = SSL_CTX_new(TLS_client_method());
	load.clients = calloc(load.n_clients + 1, sizeof *load.clients);
	if (load.epoll < 0 || load.ctx == NULL || load.clients == NULL)
		die("out of memory");
	if (SSL_CTX_load_verify_file(load.ctx, opt.cafile) != 1)
		die("cannot read %s", opt.cafile);
	SSL_CTX_set_verify(load.ctx, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_mode(
	    load.ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)SSL_CTX_set_session_cache_mode(load.ctx, SSL_SESS_CACHE_OFF);
	for (i = 0; i < load.n_clients; i++)
		load.clients[i] = (struct client){.who = &load.fleet[i],
		    .fd = -1,
		    .stride = load.n_clients,
		    .filter = opt.filter};
	if (opt.subscriber == NULL)
		return;
	f = fopen(opt.subscriber, "r");
	while (f != NULL && subscriber.cert == NULL && block_read(f, &subscriber))
		continue;
	if (subscriber.cert == NULL || subscriber.key == NULL)
		die("%s has no key and certificate", opt.subscriber);
	(void)fclose(f);
	load.clients[i] = (struct client){.who = &subscriber, .fd = -1, .filter = "devices/#"};
}

_Noreturn static void
usage(void)
{
	(void)fputs("usage: mqttload connect|publish|hold [OPTIONS] FLEET\n"
		    "  -p PORT (of 127.0.0.1)   -a FILE (the broker's CA)   -c CONNECTIONS (32)   "
		    "-s SECONDS (0: until SIGTERM)\n"
		    "  -r RATE (a second in all; 0, as given: as fast as they go)\n"
		    "  -f FILTER   each subscribes to it when it is connected; {id} is its id\n"
		    "  publish: -q QOS (0)   -w WINDOW of messages under way for each (20)   -z "
		    "BYTES (64)\n"
		    "           -S FILE      one more client, PEM, who hears devices/#\n"
		    "  hold: -t   each publishes a message when it has come, and is told of\n"
		    "        -o   who is lost stays away\n",
	    stderr);
	exit(2);
}

static void
options_read(int argc, char **argv)
{
	static const char *const modes[] = {
	    [CONNECT] = "connect", [PUBLISH] = "publish", [HOLD] = "hold"};
	unsigned m = 0;
	int o;

	if (argc < 2)
		usage();
	while (m <= HOLD && strcmp(argv[1], modes[m]) != 0)
		m++;
	opt.mode = (enum mode)m;
	optind = 2;
	while ((o = getopt(argc, argv, "p:a:c:s:r:f:q:w:z:S:to")) != -1) {
		long n = optarg == NULL ? 0 : strtol(optarg, NULL, 10);

		switch (o) {
		case 'p':
			opt.port = (int)n;
			break;
		case 'a':
			opt.cafile = optarg;
			break;
		case 'c':
			opt.connections = n;
			break;
		case 's':
			opt.seconds = n;
			break;
		case 'r':
			opt.rate = n;
			break;
		case 'f':
			opt.filter = optarg;
			break;
		case 'q':
			opt.qos = n;
			break;
		case 'w':
			opt.window = n;
			break;
		case 'z':
			opt.payload = n;
			break;
		case 'S':
			opt.subscriber = optarg;
			break;
		case 't':
			opt.tells = true;
			opt.qos = 1;
			break;
		case 'o':
			opt.once = true;
			break;
		default:
			usage();
		}
	}
	if (m > HOLD || optind != argc - 1 || opt.connections < 1 || opt.qos < 0 || opt.qos > 1 ||
	    opt.window < 1 || opt.payload < 0 || opt.payload > PAYLOAD_MAX ||
	    ((opt.tells || opt.once) && opt.mode != HOLD))
		usage();
}

int
main(int argc, char **argv)
{
	options_read(argc, argv);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)signal(SIGTERM, on_signal);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* whoever began it may have failed */
	fleet_read(argv[optind]);
	prepare();
	run();
	return load.failed == 0 ? 0 : 1;
}
