/* Table `crl`. */
#include "store/crl.h"

#include "store/tx.h"

int
store_crl_put(struct store_tx *tx, const char *issuer, const struct store_crl *crl, const void *der,
    size_t len, struct err *err)
{
	int64_t changed;
	int rc;

	rc = db_exec(tx->db,
	    "INSERT INTO crl (issuer, number, this_update, next_update, der, base_number, base_update, base_change,"
	    " listed_from) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (issuer) DO UPDATE SET"
	    " number = excluded.number, this_update = excluded.this_update, next_update = excluded.next_update,"
	    " der = excluded.der, base_number = excluded.base_number, base_update = excluded.base_update,"
	    " base_change = excluded.base_change, listed_from = excluded.listed_from"
	    " WHERE excluded.number >= crl.number",
	    DB_ARGS(db_text(issuer), db_int(crl->number), db_int(crl->this_update), db_int(crl->next_update),
		db_blob(der, len), db_int(crl->base_number), db_int(crl->base_update), db_int(crl->base_change),
		db_int(crl->listed_from)),
	    &changed, err);
	if (rc == 0 && changed == 0)
		rc = err_set(err, E_CONFLICT, "a CRL with a higher number is stored already");
	return rc;
}

int
store_crl_get(struct store_tx *tx, const char *issuer, struct store_crl *crl_out,
    struct buf *der_out, struct err *err)
{
	struct store_crl crl = {0};
	size_t before = der_out->len;
	struct db_rows rows;
	int rc;

	db_query(&rows, tx->db,
	    "SELECT number, this_update, next_update, der, base_number, base_update, base_change, listed_from"
	    " FROM crl WHERE issuer = $1",
	    DB_ARGS(db_text(issuer)));
	if (db_next(&rows)) {
		crl.number = db_col_int(&rows, 0);
		crl.this_update = db_col_int(&rows, 1);
		crl.next_update = db_col_int(&rows, 2);
		db_col_append(&rows, 3, der_out);
		crl.base_number = db_col_int(&rows, 4);
		crl.base_update = db_col_int(&rows, 5);
		crl.base_change = db_col_int(&rows, 6);
		crl.listed_from = db_col_int(&rows, 7);
	}
	if ((rc = db_end_one(&rows, "no CRL of this issuer yet", err)) == 0)
		*crl_out = crl;
	else
		buf_cut(der_out, before);
	return rc;
}

int
store_crl_forget_base(struct store_tx *tx, struct err *err)
{
	return db_exec(tx->db, "UPDATE crl SET base_number = 0, base_update = 0", DB_NONE, NULL, err);
}
