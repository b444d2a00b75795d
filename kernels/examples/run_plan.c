/* Runs a plan file from C: graphopt_run_plan model.plan [weights.bin]. Every input is filled with ones, dims of
 * unknown size are 1; prints the shape and the sum of each float32 output. */
#include <stdio.h>
#include <stdlib.h>

#include "graphopt/graphopt.h"

enum { MOST_TENSORS = 64 };

typedef struct Input {
  int64_t shape[GK_MAX_RANK];
  void *data;
} Input;

/* The bytes of a file, or null. An application would rather map it. */
static void *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  char *bytes = NULL;
  long end;
  if (file == NULL) return NULL;
  if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0 &&
      (bytes = malloc((size_t)end + 1)) != NULL) {
    *size = fread(bytes, 1, (size_t)end, file);
  }
  fclose(file);
  return bytes;
}

static int64_t elements(const gk_tensor *tensor) {
  int64_t count = 1;
  for (int32_t i = 0; i < tensor->ndim; ++i) count *= tensor->shape[i];
  return count;
}

/* A tensor of ones for an input. */
static int fill(const gk_value_info *info, Input *input, gk_tensor *tensor) {
  const int bytes = info->dtype.bits / 8;
  const gk_tensor empty = {NULL, {GK_CPU, 0}, info->ndim < 0 ? 1 : info->ndim, info->dtype, input->shape, NULL, 0};
  int64_t count;
  *tensor = empty;
  for (int32_t i = 0; i < tensor->ndim; ++i) input->shape[i] = info->ndim < 0 || info->dims[i] < 0 ? 1 : info->dims[i];
  count = elements(tensor);
  tensor->data = input->data = calloc((size_t)count + 1, (size_t)bytes);
  if (input->data == NULL) return 0;
  for (int64_t i = 0; i < count; ++i) {
    if (info->dtype.code == GK_FLOAT && bytes == 4) ((float *)input->data)[i] = 1.0f;
    if (info->dtype.code != GK_FLOAT) ((char *)input->data)[i * bytes] = 1; /* little endian */
  }
  return 1;
}

static void print_output(const char *name, const gk_tensor *tensor) {
  double sum = 0;
  printf("%s [", name);
  for (int32_t i = 0; i < tensor->ndim; ++i) printf(i == 0 ? "%lld" : ",%lld", (long long)tensor->shape[i]);
  printf("]");
  if (tensor->dtype.code == GK_FLOAT && tensor->dtype.bits == 32) {
    for (int64_t i = 0; i < elements(tensor); ++i) sum += ((const float *)tensor->data)[i];
    printf(" sum %g", sum);
  }
  printf("\n");
}

static int run(gk_plan *plan, gk_message *message) {
  Input inputs[MOST_TENSORS] = {{{0}, NULL}};
  gk_tensor feeds[MOST_TENSORS], outputs[MOST_TENSORS] = {{0}}; /* data null: the plan allocates */
  const int32_t input_count = gk_plan_input_count(plan), output_count = gk_plan_output_count(plan);
  gk_value_info info = {sizeof(gk_value_info), 0, NULL, NULL, {0, 0, 0}, 0};
  int status = GK_OK;
  if (input_count > MOST_TENSORS || output_count > MOST_TENSORS) return GK_UNSUPPORTED;
  for (int32_t i = 0; i < input_count && status == GK_OK; ++i) {
    gk_plan_input(plan, i, &info);
    if (!fill(&info, &inputs[i], &feeds[i])) status = GK_SYSTEM_ERROR;
  }
  if (status == GK_OK) status = gk_plan_run(plan, feeds, outputs, NULL, message);
  for (int32_t i = 0; i < output_count; ++i) {
    gk_plan_output(plan, i, &info);
    if (status == GK_OK) print_output(info.name, &outputs[i]);
    gk_plan_release_output(&outputs[i]);
  }
  for (int32_t i = 0; i < input_count; ++i) free(inputs[i].data);
  return status;
}

int main(int argc, char **argv) {
  gk_plan_options options = {sizeof(gk_plan_options), GK_ISA_BEST, 2, 0, 0, NULL};
  gk_message message = {""};
  size_t size = 0, weights_size = 0;
  void *data, *weights = NULL;
  gk_plan *plan = NULL;
  int status;
  if (argc < 2) {
    fprintf(stderr, "usage: %s model.plan [weights.bin]\n", argv[0]);
    return 2;
  }
  data = read_file(argv[1], &size);
  if (argc > 2) weights = read_file(argv[2], &weights_size);
  if (data == NULL || (argc > 2 && weights == NULL)) {
    fprintf(stderr, "%s: cannot be read\n", data == NULL ? argv[1] : argv[2]);
    return 1;
  }
  status = gk_plan_open(data, size, weights, weights_size, &options, &plan, &message);
  if (status == GK_OK) {
    printf("runs on %s\n", gk_isa_name(gk_plan_isa(plan)));
    status = run(plan, &message);
    gk_plan_close(plan);
  }
  if (status != GK_OK) fprintf(stderr, "%s: %s\n", argv[1], message.text[0] ? message.text : gk_status_text(status));
  free(weights);
  free(data);
  return status == GK_OK ? 0 : 1;
}
