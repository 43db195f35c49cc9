/* Runs the fuzz target over files, for tools that can't run libFuzzer: valgrind, gdb, another compiler. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
run(const char *path)
{
	FILE	   *file = fopen(path, "rb");
	uint8_t    *data = malloc(1 << 20);
	uint8_t    *exact;
	size_t		size;

	if (file == NULL || data == NULL)
	{
		perror(path);
		exit(1);
	}
	size = fread(data, 1, 1 << 20, file);
	fclose(file);
	exact = malloc(size + (size == 0));
	for (size_t i = 0; i < size; i++)
		exact[i] = data[i];
	free(data);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

int
main(int n_arguments, char **arguments)
{
	for (int i = 1; i < n_arguments; i++)
		run(arguments[i]);
	printf("%d inputs\n", n_arguments - 1);
	return 0;
}
