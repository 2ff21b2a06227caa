module cowabungaai/gatewaybench

go 1.26
