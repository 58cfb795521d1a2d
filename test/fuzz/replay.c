/*-------------------------------------------------------------------------
 *
 * replay.c
 *		A main() for a fuzz target where libFuzzer is not: run files.
 *
 *	 replay_TARGET FILE|FOLDER...
 *
 * Prints how many files were run; an input that fails ends the program, after
 * its name was told.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz.h"

static int	n_files;

static void
run_file(const char *path)
{
	FILE	   *file = fopen(path, "rb");
	char	   *bytes = NULL;
	size_t		len = 0;
	size_t		n;

	if (file == NULL)
	{
		perror(path);
		exit(2);
	}
	do
	{
		bytes = realloc(bytes, len + 65536);
		CLAIM(bytes != NULL);
		n = fread(bytes + len, 1, 65536, file);
		len += n;
	} while (n > 0);
	fclose(file);
	bytes = realloc(bytes, len > 0 ? len : 1);

	/* the last one named is the one that failed */
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput((const uint8_t *) bytes, len);
	free(bytes);
	n_files++;
}

static void
run_path(const char *path)
{
	struct stat about;
	struct dirent *entry;
	DIR		   *folder;
	char		name[4096];

	if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
	{
		run_file(path);
		return;
	}
	folder = opendir(path);
	CLAIM(folder != NULL);
	while ((entry = readdir(folder)) != NULL)
	{
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		run_file(name);
	}
	closedir(folder);
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("%d inputs\n", n_files);
	return n_files > 0 ? 0 : 1;
}
