/* One loop on one thread, which alone touches the connection. Nobody ever waits for it: what is to be told is in the store, and
 * a wake only says that it is worth a look. What the broker took is noted when it says so; what it may have taken before a crash
 * is sent again, the same bytes. */
#include "core/control.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "core/identity.h"
#include "core/mqtt.h"
#include "core/rekey.h"
#include "store/store.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 50	     /* messages that the broker has not answered */
#define ANSWER_MS 30000	     /* for a batch */
#define ACKS_MAX 64	     /* acknowledgements that wait to be noted; more are left out, and come again */
#define ACKS_MS 1000	     /* between two times that they are noted */
#define LOOK_MS 1000	     /* between looks at the store that nobody asked for, while connected, */
#define LOOK_IDLE_MS 60000   /* and while not */
#define TICK_MS 1000	     /* of libmosquitto */
#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 60000

struct sending {
	struct store_rotation row;
	int mid;
	bool answered, taken;
};

struct control {
	struct core *core;
	pthread_t thread;
	bool started;
	int wake_fd;

	pthread_mutex_t lock;
	bool stopping;
	struct control_info info;

	/* The thread's own. */
	struct identity identity;
	struct mqtt *mqtt;
	bool was_ready;
	bool is_needed; /* some rotation is not cleared */
	bool has_work;	/* perhaps */
	int64_t look_at_ms, retry_at_ms, next_batch_ms, batch_ends_ms, acks_at_ms;
	unsigned failures;
	struct sending batch[BATCH];
	size_t n_batch, n_answered;
	struct rekey_ack acks[ACKS_MAX];
	size_t n_acks;
};

const char *
control_state_name(enum control_state state)
{
	static const char *const names[] = {"idle", "connecting", "connected", "failed"};

	return names[state];
}

static void
show(struct control *c, enum control_state state, const char *why)
{
	(void)pthread_mutex_lock(&c->lock);
	if (c->info.state != state)
		c->info.since = c->core->now();
	c->info.state = state;
	(void)text_copy(c->info.why, sizeof c->info.why, why);
	(void)pthread_mutex_unlock(&c->lock);
}

/* ---- the connection ------------------------------------------------------------------------------------------------ */

/* What was under way is looked up again. */
static void
disconnect(struct control *c)
{
	mqtt_close(c->mqtt);
	c->mqtt = NULL;
	c->was_ready = false;
	c->n_batch = c->n_answered = 0;
	c->has_work = true;
}

static void
fail(struct control *c, const struct err *err)
{
	int64_t ms = c->failures < 6 ? BACKOFF_MIN_MS << c->failures : BACKOFF_MAX_MS;
	uint16_t chance = 0;

	if (c->failures++ == 0)
		log_warn("devices cannot be told to rekey, trying again: %s", err->text);
	(void)!random_bytes(&chance, sizeof chance, NULL);
	c->retry_at_ms = clock_mono_ms() + ms / 2 + ms / 2 * chance / UINT16_MAX;
	disconnect(c);
	show(c, CONTROL_FAILED, err->text);
}

static void
on_published(void *ctx, int mid, bool taken)
{
	struct control *c = ctx;
	size_t i;

	for (i = 0; i < c->n_batch; i++)
		if (c->batch[i].mid == mid && !c->batch[i].answered) {
			c->batch[i].answered = true;
			c->batch[i].taken = taken;
			c->n_answered++;
		}
}

static void
on_message(void *ctx, const char *topic, const void *data, size_t len)
{
	struct control *c = ctx;

	if (c->n_acks < ACKS_MAX && rekey_ack_read(topic, data, len, &c->acks[c->n_acks], NULL) == 0)
		c->n_acks++;
}

static const struct mqtt_events events = {on_published, on_message};

/* Where the broker is, as a number: this process reads no file that names are looked up in. */
static int
address_find(const struct settings *s, char host[64], uint16_t *port, struct err *err)
{
	const char *where = s->broker_connect[0] != '\0' ? s->broker_connect : s->broker_listen;
	struct address address;
	int rc;

	if ((rc = settings_split_listen(where, host, port, err)) != 0)
		return rc;
	if (!address_parse(host, &address))
		return err_set(err, E_INPUT, "set broker.connect in muster.conf to the broker's address: %s is a name", host);
	if (strcmp(host, "0.0.0.0") == 0)
		(void)text_copy(host, 64, "127.0.0.1");
	else if (strcmp(host, "::") == 0)
		(void)text_copy(host, 64, "::1");
	return 0;
}

static int
identity_refresh(struct control *c, struct err *err)
{
	if (identity_is_good(c->core, &c->identity))
		return 0;
	identity_clear(&c->identity);
	return identity_make(c->core, &c->identity, err);
}

static void
attempt(struct control *c)
{
	const struct settings *s = &core_config(c->core)->settings;
	struct mqtt_spec spec = {.issuing_der = &c->core->issuers.all[0].der, .roots = &c->core->roots,
	    .filter = IDENTITY_READ, .events = &events, .ctx = c};
	char host[64], name[CONF_TEXT_SIZE];
	struct err err = {0};

	settings_host(name, sizeof name, s->broker_public_host);
	spec.address = host;
	spec.name = name;
	if (address_find(s, host, &spec.port, &err) != 0 || identity_refresh(c, &err) != 0) {
		fail(c, &err);
		return;
	}
	spec.id = c->identity.id;
	spec.key_pem = &c->identity.key_pem;
	spec.cert = c->identity.cert;
	spec.cert_len = c->identity.cert_len;
	if (mqtt_open(&spec, &c->mqtt, &err) != 0)
		fail(c, &err);
	else if (c->failures == 0)
		show(c, CONTROL_CONNECTING, "");
}

static void
connection_tick(struct control *c)
{
	if (c->mqtt == NULL) {
		if (c->is_needed && clock_mono_ms() >= c->retry_at_ms)
			attempt(c);
	} else if (mqtt_is_ready(c->mqtt) && !c->was_ready) {
		c->was_ready = true;
		if (c->n_batch == 0)
			c->has_work = true;
		log_info("connected to the broker to tell devices to rekey");
		show(c, CONTROL_CONNECTED, "");
	} else if (!c->is_needed && c->n_batch == 0) {
		disconnect(c);
		show(c, CONTROL_IDLE, "");
	}
}

/* Is there anybody to instruct? And with an identity that lasts? */
static void
look(struct control *c)
{
	struct store_tx *tx = NULL;
	struct err err = {0};
	int rc;

	if (clock_mono_ms() < c->look_at_ms)
		return;
	c->look_at_ms = clock_mono_ms() + (c->mqtt != NULL ? LOOK_MS : LOOK_IDLE_MS);
	if ((rc = store_read(c->core->store, &tx, &err)) == 0)
		rc = store_rotation_any(tx, &c->is_needed, &err);
	store_rollback(&tx);
	if (rc != 0) {
		log_error("rotations cannot be looked up, trying again: %s", err.text);
		c->look_at_ms = clock_mono_ms() + LOOK_MS;
		return;
	}
	c->has_work = c->has_work || c->is_needed;
	if (c->mqtt != NULL && c->n_batch == 0 && !identity_is_good(c->core, &c->identity))
		disconnect(c);
}

/* ---- instructions --------------------------------------------------------------------------------------------------- */

static int
send(struct control *c, struct sending *s, struct err *err)
{
	char topic[REKEY_TOPIC_SIZE];
	struct buf text = {0};
	int rc;

	s->answered = s->taken = false;
	rekey_topic(s->row.device_id, topic);
	if (!store_rotation_is_over(&s->row))
		rekey_message(&s->row, &text);
	rc = buf_failed(&text) ? err_nomem(err) : mqtt_publish(c->mqtt, topic, text.data, text.len, &s->mid, err);
	buf_clear(&text);
	return rc;
}

static void
batch_begin(struct control *c)
{
	int64_t per_s = core_config(c->core)->settings.rotation_per_s, now_ms = clock_mono_ms();
	size_t max = per_s < BATCH ? (size_t)per_s : BATCH, n = 0, i;
	struct store_rotation rows[BATCH];
	struct store_tx *tx = NULL;
	struct err err = {0};
	int rc;

	if ((rc = store_read(c->core->store, &tx, &err)) == 0)
		rc = store_rotation_work(tx, rows, max, &n, &err);
	store_rollback(&tx);
	c->has_work = rc != 0 || n > 0;
	c->next_batch_ms = now_ms + (rc != 0 ? TICK_MS : (int64_t)n * 1000 / per_s);
	if (rc != 0)
		log_error("rotations cannot be looked up, trying again: %s", err.text);
	c->batch_ends_ms = now_ms + ANSWER_MS;
	for (i = 0; rc == 0 && i < n; i++) {
		c->batch[i].row = rows[i];
		if ((rc = send(c, &c->batch[i], &err)) == 0)
			c->n_batch++;
		else
			fail(c, &err);
	}
}

/* Note what the broker took of the batch. */
static int
batch_note(struct control *c, struct err *err)
{
	int64_t now = c->core->now();
	struct store_tx *tx = NULL;
	size_t i;
	int rc;

	if ((rc = store_begin(c->core->store, &tx, err)) != 0)
		return rc;
	for (i = 0; rc == 0 && i < c->n_batch; i++) {
		const struct store_rotation *row = &c->batch[i].row;

		if (!c->batch[i].taken)
			continue;
		rc = store_rotation_is_over(row) ? store_rotation_cleared(tx, row->device_id, row->word, err)
						 : store_rotation_told(tx, row->device_id, row->word, now, err);
	}
	if (rc == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

static bool
all_taken(const struct control *c)
{
	size_t i;

	for (i = 0; i < c->n_batch; i++)
		if (!c->batch[i].taken)
			return false;
	return true;
}

static void
batch_end(struct control *c)
{
	struct err err = {0};
	bool taken = all_taken(c);

	if (batch_note(c, &err) != 0) {
		log_error("what the broker was told is not noted, and will be told again: %s", err.text);
		c->next_batch_ms = clock_mono_ms() + TICK_MS;
	} else if (c->n_answered < c->n_batch) {
		(void)err_set(&err, E_BUSY, "the broker does not answer");
		fail(c, &err);
		return;
	} else if (!taken) {
		(void)err_set(&err, E_DENIED, "the broker does not take what Muster's own service may write: does it know it yet?");
		fail(c, &err);
		return;
	} else {
		c->failures = 0;
	}
	c->n_batch = c->n_answered = 0;
	c->look_at_ms = 0; /* perhaps that was all */
}

static void
batch_tick(struct control *c)
{
	int64_t now_ms = clock_mono_ms();

	if (c->mqtt == NULL || !c->was_ready)
		return;
	if (c->n_batch > 0 && (c->n_answered == c->n_batch || now_ms >= c->batch_ends_ms))
		batch_end(c);
	else if (c->n_batch == 0 && c->has_work && now_ms >= c->next_batch_ms)
		batch_begin(c);
}

/* ---- acknowledgements ------------------------------------------------------------------------------------------------ */

/* Those that are about an instruction that was given. */
static int
acks_choose(struct control *c, struct store_rotation *rows, struct err *err)
{
	struct store_tx *tx = NULL;
	size_t n = 0, i;
	int rc;

	if ((rc = store_read(c->core->store, &tx, err)) != 0)
		return rc;
	for (i = 0; i < c->n_acks; i++) {
		if ((rc = store_rotation_get(tx, c->acks[i].device_id, &rows[n], err)) == 0 &&
		    rekey_ack_is_of(&c->acks[i], &rows[n]))
			c->acks[n++] = c->acks[i];
		if (rc != 0 && rc != E_NOTFOUND)
			break;
	}
	store_rollback(&tx);
	c->n_acks = n;
	return rc == E_NOTFOUND ? 0 : rc;
}

static int
acks_note(struct control *c, struct err *err)
{
	struct store_rotation rows[ACKS_MAX];
	int64_t now = c->core->now();
	struct store_tx *tx = NULL;
	size_t i;
	int rc;

	if ((rc = acks_choose(c, rows, err)) != 0 || c->n_acks == 0 || (rc = store_begin(c->core->store, &tx, err)) != 0)
		return rc;
	for (i = 0; rc == 0 && i < c->n_acks; i++)
		rc = store_rotation_acknowledge(
		    tx, rows[i].device_id, rows[i].word, c->acks[i].ack, c->acks[i].reason, now, err);
	if (rc == 0)
		rc = store_commit(&tx, err);
	store_rollback(&tx);
	return rc;
}

static void
acks_tick(struct control *c)
{
	struct err err = {0};

	if (c->n_acks == 0 || clock_mono_ms() < c->acks_at_ms)
		return;
	c->acks_at_ms = clock_mono_ms() + ACKS_MS;
	if (acks_note(c, &err) != 0)
		log_error("what devices said of rotations is not noted: %s", err.text);
	c->n_acks = 0;
}

/* ---- the loop -------------------------------------------------------------------------------------------------------- */

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int
wait_ms(const struct control *c)
{
	int64_t now_ms = clock_mono_ms(), ms = c->look_at_ms - now_ms;

	if (c->mqtt == NULL && c->is_needed)
		ms = least(ms, c->retry_at_ms - now_ms);
	if (c->mqtt != NULL)
		ms = least(ms, TICK_MS);
	if (c->was_ready && c->n_batch == 0 && c->has_work)
		ms = least(ms, c->next_batch_ms - now_ms);
	if (c->n_acks > 0)
		ms = least(ms, c->acks_at_ms - now_ms);
	return ms < 0 ? 0 : (int)ms;
}

static void
step(struct control *c)
{
	struct pollfd fds[2] = {{c->wake_fd, POLLIN, 0}, {c->mqtt != NULL ? mqtt_fd(c->mqtt) : -1, POLLIN, 0}};
	struct err err = {0};
	uint64_t n;

	if (c->mqtt != NULL && mqtt_wants_write(c->mqtt))
		fds[1].events |= POLLOUT;
	if (poll(fds, 2, wait_ms(c)) < 0)
		return;
	if (fds[0].revents != 0 && read(c->wake_fd, &n, sizeof n) == sizeof n)
		c->look_at_ms = 0;
	if (c->mqtt != NULL && mqtt_work(c->mqtt, (fds[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0,
				   (fds[1].revents & POLLOUT) != 0, &err) != 0)
		fail(c, &err);
}

static bool
is_stopping(struct control *c)
{
	bool stopping;

	(void)pthread_mutex_lock(&c->lock);
	stopping = c->stopping;
	(void)pthread_mutex_unlock(&c->lock);
	return stopping;
}

static void *
control_run(void *arg)
{
	struct control *c = arg;

	while (!is_stopping(c)) {
		look(c);
		connection_tick(c);
		batch_tick(c);
		acks_tick(c);
		step(c);
	}
	disconnect(c);
	return NULL;
}

int
control_start(struct core *core, struct control **control_out, struct err *err)
{
	struct control *c = calloc(1, sizeof *c);
	int rc;

	if (c == NULL)
		return err_nomem(err);
	c->core = core;
	c->info.since = core->now();
	(void)pthread_mutex_init(&c->lock, NULL);
	if ((c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		rc = err_sys(err, "cannot make an event");
	else
		rc = thread_start(&c->thread, control_run, c, "the thread that tells the broker", err);
	c->started = rc == 0;
	if (rc == 0)
		*control_out = c;
	else
		control_stop(c);
	return rc;
}

void
control_stop(struct control *c)
{
	if (c == NULL)
		return;
	(void)pthread_mutex_lock(&c->lock);
	c->stopping = true;
	(void)pthread_mutex_unlock(&c->lock);
	control_wake(c);
	if (c->started)
		(void)pthread_join(c->thread, NULL);
	if (c->wake_fd >= 0)
		(void)close(c->wake_fd);
	identity_clear(&c->identity);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

void
control_wake(struct control *c)
{
	const uint64_t one = 1;

	if (c != NULL)
		(void)!write(c->wake_fd, &one, sizeof one);
}

void
control_info(struct control *c, struct control_info *info_out)
{
	(void)pthread_mutex_lock(&c->lock);
	*info_out = c->info;
	(void)pthread_mutex_unlock(&c->lock);
}
