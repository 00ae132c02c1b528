/* The harness without libFuzzer: runs every file of the folders that it is given, for the test
 * command. A folder without a file is a failure, so that a corpus cannot get lost. */
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "fuzz.h"

#include <dirent.h>

#define FILE_MAX_BYTES (1024 * 1024)

static int
replay_file(const char *dir, const char *name)
{
	char path[FS_PATH_MAX];
	struct buf content = {0};
	struct err err = {0};
	uint8_t *data;
	int rc;

	if ((rc = fs_path(path, dir, name, &err)) != 0 ||
	    (rc = fs_read(path, FILE_MAX_BYTES, &content, &err)) != 0) {
		(void)fprintf(stderr, "%s: %s\n", name, err.text);
	} else {
		(void)printf("%s\n", path);
		(void)fflush(stdout); /* names the file if the next line does not return */
		/* Exactly as large as the file, as libFuzzer would hand it over. */
		data = (uint8_t *)fuzz_text(content.data, content.len);
		(void)LLVMFuzzerTestOneInput(data, content.len);
		free(data);
	}
	buf_clear(&content);
	return rc;
}

int
main(int argc, char **argv)
{
	struct dirent *entry;
	unsigned files = 0, failed = 0;
	DIR *dir;
	int i;

	for (i = 1; i < argc; i++) {
		if ((dir = opendir(argv[i])) == NULL) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(dir)) != NULL) {
			if (entry->d_name[0] == '.')
				continue;
			files++;
			failed += replay_file(argv[i], entry->d_name) != 0;
		}
		(void)closedir(dir);
	}
	(void)printf("%u files, %u failed\n", files, failed);
	return files > 0 && failed == 0 ? 0 : 1;
}
