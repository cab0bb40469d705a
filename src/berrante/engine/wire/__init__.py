"""Every byte that Node also reads: keys, codec, scripts."""
