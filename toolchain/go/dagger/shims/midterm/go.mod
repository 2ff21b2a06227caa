module github.com/vito/midterm

go 1.26

require github.com/vito/midterm-base v0.2.3
