/* Fill, our own: two drivers' clEnqueueFillBuffer write wrong values or do not exist. */

kernel void fill(global int *out, int bits, int count)
{
    int i = (int)get_global_id(0);
    if (i < count) out[i] = bits;
}
