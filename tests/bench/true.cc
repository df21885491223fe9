// What every row of the benchmark runs: a static program that does nothing.
int main() { return 0; }
