/* Write N certification requests, each with a P-256 key of its own, as lines of JSON request bodies:
 * make_csrs muster|cfssl N > FILE. For the load generator; the keys are thrown away. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn static void
die(const char *what)
{
	(void)fprintf(stderr, "make_csrs: %s\n", what);
	exit(1);
}

int
main(int argc, char **argv)
{
	const char *before, *after;
	long n, i;

	if (argc != 3 || (n = strtol(argv[2], NULL, 10)) <= 0)
		die("usage: make_csrs muster|cfssl N");
	if (strcmp(argv[1], "muster") == 0) {
		before = "{\"name\":\"bench\",\"type\":\"bench\",\"profile\":\"constrained\",\"csr\":\"";
		after = "\"}\n";
	} else {
		before = "{\"hostname\":\"bench.example.org\",\"certificate_request\":\"";
		after = "\"}\n";
	}
	for (i = 0; i < n; i++) {
		EVP_PKEY *key = EVP_EC_gen("P-256");
		X509_REQ *req = X509_REQ_new();
		BIO *bio = BIO_new(BIO_s_mem());
		char *pem;
		long len, k;

		if (key == NULL || req == NULL || bio == NULL ||
		    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_ASC,
			(const unsigned char *)"bench", -1, -1, 0) != 1 ||
		    X509_REQ_set_pubkey(req, key) != 1 || X509_REQ_sign(req, key, EVP_sha256()) <= 0 ||
		    PEM_write_bio_X509_REQ(bio, req) != 1)
			die("OpenSSL failed");
		len = BIO_get_mem_data(bio, &pem);
		(void)fputs(before, stdout);
		for (k = 0; k < len; k++) {
			if (pem[k] == '\n')
				(void)fputs("\\n", stdout);
			else
				(void)putchar(pem[k]);
		}
		(void)fputs(after, stdout);
		BIO_free(bio);
		X509_REQ_free(req);
		EVP_PKEY_free(key);
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
