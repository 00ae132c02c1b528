/* One-time links: a page that consumes nothing, so that a chat program's preview does no harm, and the POST that
 * delivers. The token is a secret: it is in no log and in no page. */
#include "core/link.h"

#include "base/text.h"
#include "http/page.h"
#include "http/reply.h"
#include "http/routes.h"

#include <stdio.h>
#include <stdlib.h>

static const char landing[] =
    "<p>This link delivers the credentials of one device: its key, its certificate and what it must trust, in an "
    "encrypted archive.</p>\n"
    "<p><strong>It works once.</strong> The button downloads the archive and uses the link up; looking at this "
    "page does not. Press it on the computer where you want the file.</p>\n"
    "<form method=\"post\"><button type=\"submit\">Download the package</button></form>\n"
    "<p>The password comes to you by another way than this link; keep them apart. Open the archive with 7-Zip "
    "(<code>7z x FILE.zip</code>) or <code>bsdtar -xf FILE.zip</code>. Info-ZIP&#39;s <code>unzip</code> and the "
    "Windows Explorer cannot open it: they do not know its encryption (AES-256).</p>\n";

/* A refusal as a page for people; programs get the problem document that the error becomes. */
static int
refuse(const struct http_request *req, struct http_reply *reply, int rc, const struct err *err)
{
	if (!page_wanted(req) || (rc != E_NOTFOUND && rc != E_GONE))
		return rc;
	if (rc == E_GONE)
		page_reply(reply, reply_status(err), "This link is used up",
		    "<p>It was used, withdrawn or has expired. If it was not you who used it, tell the person who "
		    "sent it at once. They can issue a new one.</p>\n");
	else
		page_reply(reply, reply_status(err), "There is no such link",
		    "<p>Check that the address was copied whole.</p>\n");
	return 0;
}

int
link_show(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	const struct link_visitor visitor = {req->peer, req->quotas};
	struct store_package package;
	int rc;

	(void)caller;
	if ((rc = link_look(core, req->params[0], &visitor, &package, err)) != 0)
		return refuse(req, reply, rc, err);
	page_reply(reply, 200, "Device credentials", landing);
	return 0;
}

struct delivery {
	struct store_package package;
	char peer[64];
};

static void
delivery_ended(struct core *core, void *ctx, bool whole)
{
	struct delivery *delivery = ctx;

	if (!whole)
		link_incomplete(core, &delivery->package, delivery->peer);
	free(delivery);
}

int
link_deliver(struct core *core, const struct caller *caller, const struct http_request *req,
    struct http_reply *reply, struct err *err)
{
	struct delivery *delivery = calloc(1, sizeof *delivery); /* before the link is consumed */
	const struct link_visitor visitor = {req->peer, req->quotas};
	int rc;

	(void)caller;
	if (delivery == NULL)
		return err_nomem(err);
	(void)text_copy(delivery->peer, sizeof delivery->peer, req->peer);
	buf_init_secret(&reply->body);
	if ((rc = link_redeem(core, req->params[0], &visitor, &delivery->package, &reply->body, err)) != 0) {
		free(delivery);
		return refuse(req, reply, rc, err);
	}
	reply->content_type = "application/zip";
	(void)snprintf(reply->disposition, sizeof reply->disposition, "attachment; filename=\"%s.zip\"",
	    delivery->package.owner_id);
	reply->sent = delivery_ended;
	reply->sent_ctx = delivery;
	return 0;
}
