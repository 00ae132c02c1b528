/* What most commands end with. */
#include "cmd/call.h"

#include "cmd/rest.h"

/* *ANSWER_OUT stays NULL where there is none. */
static int
call(const struct cli *cli, const char *method, struct buf *path, json_t *body, int built, json_t **answer_out,
    struct err *err)
{
	int rc = built == 0 && buf_failed(path) ? err_nomem(err) : built;

	if (rc != 0)
		json_decref(body);
	else
		rc = rest_call(cli, method, buf_str(path), body, answer_out, err);
	buf_clear(path);
	return rc;
}

int
call_show(const struct cli *cli, const char *method, struct buf *path, json_t *body, int built,
    const struct print_field *fields, size_t n, struct err *err)
{
	json_t *answer = NULL;

	if (call(cli, method, path, body, built, &answer, err) != 0)
		return cli_fail(cli, err);
	if (cli->json)
		print_json(answer);
	else
		print_fields(answer, fields, n);
	json_decref(answer);
	return CLI_OK;
}

int
call_credential(const struct cli *cli, struct buf *path, json_t *body, int built, const struct credoptions *options,
    struct err *err)
{
	json_t *answer = NULL;
	int rc;

	if ((rc = call(cli, "POST", path, body, built, &answer, err)) == 0)
		rc = credoptions_show(cli, options, answer, err);
	json_decref(answer);
	return rc == 0 ? CLI_OK : cli_fail(cli, err);
}

int
call_list(const struct cli *cli, struct buf *path, const struct list_options *options, const struct print_field *columns,
    size_t n)
{
	struct err err = {0};
	int rc;

	rc = list_show(cli, options, path, columns, n, &err);
	buf_clear(path);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}

int
call_remove(const struct cli *cli, struct buf *path, const char *name)
{
	json_t *answer = NULL;
	struct err err = {0};
	int rc;

	rc = buf_failed(path) ? err_nomem(&err) : rest_call(cli, "DELETE", buf_str(path), NULL, &answer, &err);
	if (rc == 0 && !cli->json)
		(void)printf("Removed %s.\n", name);
	buf_clear(path);
	json_decref(answer);
	return rc == 0 ? CLI_OK : cli_fail(cli, &err);
}
