/*
 * What lies below a folder is opened, by both ways alike, and nothing else is,
 * while another process exchanges what is on the path.  Guards src/s3/beneath.c.
 */
#define _GNU_SOURCE 1
#include "s3/beneath.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exchanges that a process makes in the short form of the test. */
#define SWAPS 20000

typedef int (*OpenFn) (int root, const char *root_path, const char *path, StediBeneathFor purpose);
typedef int (*RootFn) (const char *path);

static const struct
{
	const char *name;
	OpenFn		open;
	RootFn		root;
}			ways[] = {
	{"the kernel's way", stedi_beneath_open, stedi_beneath_root},
	{"the walk", stedi_beneath_walk, stedi_beneath_root_walk},
};

static char base[64];			/* a folder of this test's own */

static const char *
at(const char *path)
{
	static char paths[4][256];
	static int	next = 0;

	next = (next + 1) % 4;
	snprintf(paths[next], sizeof(paths[next]), "%s/%s", base, path);
	return paths[next];
}

static void
check(int result)
{
	if (result >= 0)
		return;
	perror("test_beneath");
	exit(1);
}

static void
put(const char *path, const char *text)
{
	int			fd = open(at(path), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	check(fd);
	check((int) write(fd, text, strlen(text)));
	close(fd);
}

static void
make_tree(void)
{
	snprintf(base, sizeof(base), "%s/stedi_beneath_XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	check(mkdtemp(base) != NULL ? 0 : -1);
	check(chmod(base, 0777));	/* who runs this may be root */
	check(mkdir(at("root"), 0755));
	check(mkdir(at("root/a"), 0755));
	check(mkdir(at("root/a/b"), 0755));
	check(mkdir(at("outside"), 0755));
	put("root/a/b/in", "in");
	put("root/top", "in");
	put("outside/in", "OUT");
	put("outside/top", "OUT");
	check(symlink("a/b", at("root/to_folder")));
	check(symlink("../b/in", at("root/a/b/to_in")));
	check(symlink("../../top", at("root/a/b/to_top")));
	check(symlink("to_folder/to_top", at("root/chain")));
	check(symlink("../outside", at("root/evil")));
	check(symlink("../../outside/in", at("root/a/evil")));
	check(symlink("/etc/passwd", at("root/absolute_evil")));
	check(symlink(at("root/a/b/in"), at("root/absolute")));
	check(symlink(at("root/../outside/in"), at("root/absolute_up")));
	check(symlink(at("root"), at("root/absolute_root")));
	check(symlink(at("rootx/in"), at("root/absolute_beside")));
	check(symlink("nothing", at("root/dangling")));
	check(symlink("loop", at("root/loop")));
	check(symlink("/proc/self/root", at("root/magic")));
	check(symlink("root", at("alias")));
	check(mkdir(at("roots"), 0755));
	check(symlink("../root/a", at("roots/alias")));
	check(mkfifo(at("root/pipe"), 0644));
	check(symlink("pipe", at("root/to_pipe")));
}

static void
remove_tree(void)
{
	char		command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	check(system(command));
}

/* What is read of a file that was opened, or why it was not. */
static const char *
says(int fd)
{
	static char text[16];
	ssize_t		len;
	struct stat st;

	if (fd < 0)
		return strerrorname_np(errno);
	check(fstat(fd, &st));
	if (!S_ISREG(st.st_mode))
		snprintf(text, sizeof(text), "%s", S_ISDIR(st.st_mode) ? "folder" : "other");
	else
	{
		len = read(fd, text, sizeof(text) - 1);
		check((int) len);
		text[len] = '\0';
	}
	close(fd);
	return text;
}

static void
test_paths(void)
{
	static const struct
	{
		const char *path;
		const char *want;
	}			cases[] = {
		{"top", "in"}, {"a/b/in", "in"}, {"/a//b/./in", "in"}, {"a/b/../../top", "in"}, {"a", "folder"},
		{"a/", "folder"}, {"", "folder"}, {".", "folder"}, {"a/..", "folder"}, {"/", "folder"},
		{"to_folder/in", "in"}, {"to_folder", "folder"}, {"a/b/to_in", "in"}, {"a/b/to_top", "in"}, {"chain", "in"},
		{"to_folder/../../top", "in"}, {"absolute", "in"}, {"absolute_root/top", "in"},
		{"absolute_root/absolute_root/to_folder/to_top", "in"},
		{"..", "EXDEV"}, {"../outside/in", "EXDEV"}, {"a/../../root/top", "EXDEV"}, {"evil/in", "EXDEV"}, {"evil", "EXDEV"},
		{"a/evil", "EXDEV"}, {"absolute_evil", "EXDEV"}, {"absolute_up", "EXDEV"}, {"absolute_beside", "EXDEV"},
		{"magic", "EXDEV"}, {"magic/etc/passwd", "EXDEV"},
		{"loop", "ELOOP"}, {"dangling", "ENOENT"}, {"nothing", "ENOENT"}, {"nothing/x", "ENOENT"}, {"a/b/nothing", "ENOENT"},
		{"top/", "ENOTDIR"}, {"top/x", "ENOTDIR"}, {"nothing/..", "ENOENT"}, {"pipe", "other"}, {"to_pipe", "other"},
	};

	for (size_t way = 0; way < 2; way++)
	{
		const char *root_path = at("root");
		int			root = ways[way].root(root_path);

		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
			is_str(says(ways[way].open(root, root_path, cases[i].path, STEDI_BENEATH_READ)), cases[i].want,
				   "%s to %s", ways[way].name, cases[i].path);
		is_str(says(ways[way].open(root, root_path, "top", STEDI_BENEATH_FOLDER)), "ENOTDIR", "%s: no folder", ways[way].name);
		is_str(says(ways[way].open(root, root_path, "a/b", STEDI_BENEATH_FOLDER)), "folder", "%s: a folder", ways[way].name);
		is_str(says(ways[way].open(root, root_path, "to_pipe", STEDI_BENEATH_LOOK)), "other", "%s: a look", ways[way].name);
		close(root);
	}
}

/* Long ways, and links to links, end as the kernel ends them or with an error. */
static void
test_limits(void)
{
	char		path[8192] = "";
	int			root = stedi_beneath_root(at("root"));

	for (int i = 0; i < 500; i++)
		strcat(path, "a/../");
	strcat(path, "top");
	for (size_t way = 0; way < 2; way++)
		is_str(says(ways[way].open(root, at("root"), path, STEDI_BENEATH_READ)), "in", "%s up and down", ways[way].name);
	for (int i = 0; i < 1000; i++)
		strcat(path, "/a");
	for (size_t way = 0; way < 2; way++)
		is_str(says(ways[way].open(root, at("root"), path, STEDI_BENEATH_READ)), "ENAMETOOLONG", "%s, too long", ways[way].name);
	memset(path, 'n', 300);
	path[300] = '\0';
	for (size_t way = 0; way < 2; way++)
		is_str(says(ways[way].open(root, at("root"), path, STEDI_BENEATH_READ)), "ENAMETOOLONG", "%s, a name too long",
			   ways[way].name);
	for (int i = 0; i < 45; i++)
	{
		char		name[32];
		char		target[32];

		snprintf(name, sizeof(name), "root/link%d", i);
		snprintf(target, sizeof(target), i == 0 ? "top" : "link%d", i - 1);
		check(symlink(target, at(name)));
	}
	for (size_t way = 0; way < 2; way++)
	{
		is_str(says(ways[way].open(root, at("root"), "link39", STEDI_BENEATH_READ)), "in", "%s over 40 links", ways[way].name);
		is_str(says(ways[way].open(root, at("root"), "link40", STEDI_BENEATH_READ)), "ELOOP", "%s over 41 links",
			   ways[way].name);
	}
	close(root);
}

/* On the path of the folder itself, links are root's or none. */
static void
test_root(void)
{
	struct stat st;
	bool		roots = lstat("/bin", &st) == 0 && S_ISLNK(st.st_mode) && st.st_uid == 0;

	for (size_t way = 0; way < 2; way++)
	{
		is_str(says(ways[way].root(at("alias"))), "EPERM", "%s: a link that is exchangeable",
			   ways[way].name);
		is_str(says(ways[way].root(at("alias/a"))), "EPERM", "%s: a folder behind it", ways[way].name);
		is_str(says(ways[way].root(at("root/../root/a"))), "folder", "%s: a way up", ways[way].name);
		is_str(says(ways[way].root("/")), "folder", "%s: all", ways[way].name);
		is_str(says(ways[way].root("/../..")), "folder", "%s: above all", ways[way].name);
		is_str(says(ways[way].root(at("root/top"))), "ENOTDIR", "%s: no folder", ways[way].name);
		is_str(says(ways[way].root(at("absent"))), "ENOENT", "%s: nothing", ways[way].name);
		if (geteuid() == 0)
			is_str(says(ways[way].root(at("roots/alias"))), "folder", "%s: a link in a folder of root's", ways[way].name);
		if (roots)
			is_str(says(ways[way].root("/bin")), "folder", "%s: a link that only root can exchange", ways[way].name);
	}
}

/* Exchange two names in a process of its own, so many times. */
static pid_t
start_swapping(const char *one, const char *other, long swaps)
{
	pid_t		pid = fork();

	check(pid);
	if (pid == 0)
	{
		for (long i = 0; i < swaps; i++)
		{
			renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
			if (i % 7 == 0)
				for (volatile long spin = 0; spin < rand() % 4000; spin++)
					;
		}
		_exit(0);
	}
	return pid;
}

/* Open path while names are exchanged; what came of it may be "in", and never "OUT". */
static void
test_swap(size_t way, const char *one, const char *other, const char *path, bool root_too)
{
	long		swaps = SWAPS * (getenv("STEDI_TEST_SECURITY") ? 50 : 1);
	pid_t		pid = start_swapping(at(one), at(other), swaps);
	long		n_in = 0;
	long		n_out = 0;
	long		n_none = 0;
	int			root = ways[way].root(at("root"));

	while (waitpid(pid, NULL, WNOHANG) == 0)
	{
		const char *got;

		if (root_too)
		{
			if (root >= 0)
				close(root);
			root = ways[way].root(at("root"));
		}
		got = root < 0 ? "none" : says(ways[way].open(root, at("root"), path, STEDI_BENEATH_READ));
		if (strcmp(got, "in") == 0)
			n_in++;
		else if (strcmp(got, "OUT") == 0)
			n_out++;
		else
			n_none++;
	}
	if (root >= 0)
		close(root);
	note("%s, %s and %s exchanged %ld times: opened %ld times, refused %ld times", ways[way].name, one, other, swaps,
		 n_in, n_none);
	ok(n_out == 0 && n_in > 0, "%s stays below while %s and %s are exchanged", ways[way].name, one, other);
}

static void
test_swaps(void)
{
	check(mkdir(at("root/deep"), 0755));
	check(mkdir(at("root/deep/t"), 0755));
	put("root/deep/t/in", "in");
	check(symlink("../../outside", at("root/deep/out")));
	check(symlink(at("outside"), at("away")));
	for (size_t way = 0; way < 2; way++)
	{
		/* a folder for a link out of it, the file itself, what a link goes by */
		test_swap(way, "root/deep/t", "root/deep/out", "deep/t/in", false);
		test_swap(way, "root/a/b/in", "root/a/evil", "a/b/in", false);
		test_swap(way, "root/to_folder", "root/evil", "to_folder/in", false);
		/* a part that ".." leads through, moved out of the folder */
		test_swap(way, "root/deep", "outside", "deep/t/../t/in", false);
		/* the folder itself */
		test_swap(way, "root", "away", "top", true);
	}
}

int
main(void)
{
	make_tree();
	test_paths();
	test_limits();
	test_root();
	test_swaps();
	remove_tree();
	return done_testing();
}
