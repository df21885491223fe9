/* Runs untrusted code and reads what it wrote, in C: cc run.c $(pkg-config --cflags --libs clawrun) */
#include <clawrun/clawrun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void give_up(clawrun_error *error) {
  fprintf(stderr, "run: %s\n", clawrun_error_message(error));
  clawrun_error_free(error);
  exit(1);
}

int main(void) {
  const char *const command[] = {"sh", "-c", "tr a-z A-Z < input.txt > result.txt; echo done"};
  const char *const input = "made from untrusted parts\n";
  const clawrun_stream streams[3] = {{CLAWRUN_NULL, -1}, {CLAWRUN_CAPTURE, -1}, {CLAWRUN_INHERIT, -1}};
  clawrun_error *error = NULL;
  clawrun_sandbox *sandbox = NULL;
  clawrun_spec *spec = clawrun_spec_new();
  if (spec == NULL) give_up(NULL);
  if (clawrun_spec_json(spec, "{\"timeout\": \"10s\", \"memory\": \"256m\", \"max-output\": \"64k\"}", &error) != 0 ||
      clawrun_spec_command(spec, 3, command, &error) != 0 ||
      clawrun_spec_file(spec, "input.txt", input, strlen(input), 0644, &error) != 0 ||
      clawrun_spawn(spec, streams, &sandbox, &error) != 0)
    give_up(error);
  clawrun_spec_free(spec);

  if (clawrun_sandbox_wait(sandbox, -1, &error) < 0) give_up(error);
  size_t size = 0;
  const char *output = clawrun_sandbox_output(sandbox, 1, &size);
  printf("exit code %d, output: %.*s", clawrun_outcome_exit_code(clawrun_sandbox_outcome(sandbox)), (int)size,
         output != NULL ? output : "");

  void *result = NULL;
  if (clawrun_get_file(sandbox, "result.txt", 4096, &result, &size, &error) != 0) give_up(error);
  printf("result.txt: %s", (char *)result);
  clawrun_data_free(result);
  clawrun_sandbox_free(sandbox);
  return 0;
}
