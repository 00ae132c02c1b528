/* What every subcommand gets, and the subcommands themselves; the table of them is in main.c. */
#ifndef MUSTER_CMD_COMMANDS_H
#define MUSTER_CMD_COMMANDS_H

#include "base/err.h"
#include "base/trace.h"

#include <stdbool.h>

/* Exit status. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* How every command's help ends. */
#define CLI_HELP_END "Exit status: 0 done, 1 refused or failed, 2 usage."

#define CLI_DIR_DEFAULT "/var/lib/muster"

/* The global options. */
struct cli {
	const char *dir;   /* the home */
	const char *url;   /* NULL: over DIR/muster.sock */
	const char *token; /* NULL: none */
	const char *cert;  /* instead of a token: a certificate's file, */
	const char *key;   /* and its key's; NULL: none */
	const char *tenant; /* in which to act; NULL: one's own, or `default` */
	const char *ca;	   /* NULL: DIR/ca/root.crt */
	bool json;	   /* print the REST body */
	const char *idempotency_key; /* of what is called next; NULL: none */
	char trace[TRACE_PARENT_SIZE]; /* in which all calls of the command are; "": each in its own */
};

/* Say on standard error what failed, in one line, with the field if there is one. What follows the
 * first newline in ERR's text is what to do about it, and becomes a line of its own. Returns
 * CLI_FAILED. */
int cli_fail(const struct cli *cli, const struct err *err);

/* Each takes its own words and options; argv[0] is "muster WORDS". */
typedef int command_fn(struct cli *cli, int argc, char **argv);

command_fn cmd_api_process, cmd_signer_process;
command_fn cmd_agent;
command_fn cmd_init, cmd_serve, cmd_doctor, cmd_backup, cmd_restore;
command_fn cmd_device_register, cmd_device_list, cmd_device_show, cmd_device_update,
    cmd_device_suspend, cmd_device_resume, cmd_device_revoke, cmd_device_package,
    cmd_device_certificates, cmd_device_rotate, cmd_device_import, cmd_device_export;
command_fn cmd_job_list, cmd_job_show, cmd_job_cancel;
command_fn cmd_package_fetch;
command_fn cmd_service_add, cmd_service_list, cmd_service_show, cmd_service_revoke,
    cmd_service_package;
command_fn cmd_operator_add, cmd_operator_list, cmd_operator_token, cmd_operator_package,
    cmd_operator_remove;
command_fn cmd_token_create, cmd_token_list, cmd_token_revoke;
command_fn cmd_tenant_add, cmd_tenant_list, cmd_tenant_show, cmd_tenant_update, cmd_tenant_remove;
command_fn cmd_trust_add, cmd_trust_list, cmd_trust_show, cmd_trust_remove, cmd_trust_resume;
command_fn cmd_trust_serials, cmd_trust_expect, cmd_trust_unexpect, cmd_trust_forget;
command_fn cmd_policy_set, cmd_policy_show, cmd_policy_list, cmd_policy_remove;
command_fn cmd_profile_list, cmd_profile_show;
command_fn cmd_ca_show, cmd_ca_crl, cmd_ca_renew, cmd_ca_rollover, cmd_ca_root_export, cmd_ca_root_remove;
command_fn cmd_ca_root_rollover, cmd_ca_root_retire;
command_fn cmd_audit_list, cmd_audit_verify, cmd_audit_checkpoint, cmd_audit_export, cmd_audit_archive;
command_fn cmd_broker_config, cmd_broker_add, cmd_broker_list, cmd_broker_remove;

#endif
