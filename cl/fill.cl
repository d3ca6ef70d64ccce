/* Used instead of clEnqueueFillBuffer, which writes wrong values in one driver and is missing in
 * another. */

kernel void fill(global int *out, int bits, int count)
{
    int i = (int)get_global_id(0);
    if (i < count) out[i] = bits;
}
