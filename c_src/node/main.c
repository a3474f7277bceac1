#include <stdio.h>

int main(void) {
    puts("muster_node " MUSTER_VERSION);
    return 0;
}
