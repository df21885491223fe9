// What runs in the containers that others are executed in.
#include <unistd.h>

int main() {
  for (;;) pause();
}
