//go:build ignore

// Command draw makes the clips and photos of the scripted callers: simple
// drawings of our own, marked as a drill, so that nobody's rights are in them. It
// needs ffmpeg and a font with Japanese: go run draw.go /path/to/font.
package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"log/slog"
	"os"
	"os/exec"
)

const (
	width, height = 480, 270
	rate          = 10
	frames        = 60
)

type canvas struct{ *image.RGBA }

func (c canvas) box(x, y, w, h float64, r, g, b uint8) {
	for py := max(0, int(y)); py < min(height, int(y+h)); py++ {
		for px := max(0, int(x)); px < min(width, int(x+w)); px++ {
			c.SetRGBA(px, py, color.RGBA{r, g, b, 255})
		}
	}
}

func (c canvas) disc(x, y, radius float64, r, g, b uint8) {
	for py := max(0, int(y-radius)); py < min(height, int(y+radius)+1); py++ {
		for px := max(0, int(x-radius)); px < min(width, int(x+radius)+1); px++ {
			dx, dy := float64(px)-x, float64(py)-y
			if dx*dx+dy*dy <= radius*radius {
				c.SetRGBA(px, py, color.RGBA{r, g, b, 255})
			}
		}
	}
}

func (c canvas) car(x, y float64, r, g, b uint8) {
	c.box(x, y, 90, 26, r, g, b)
	c.box(x+18, y-18, 52, 20, r/2+60, g/2+60, b/2+70)
	c.disc(x+20, y+28, 9, 20, 20, 22)
	c.disc(x+70, y+28, 9, 20, 20, 22)
}

func (c canvas) person(x, y float64, r, g, b uint8) {
	c.disc(x, y, 8, 225, 190, 160)
	c.box(x-8, y+8, 16, 28, r, g, b)
	c.box(x-7, y+36, 5, 20, 40, 44, 60)
	c.box(x+2, y+36, 5, 20, 40, 44, 60)
}

// shake is the unsteady hand.
func shake(i int) (x, y float64) { return float64((i*7)%5) - 2, float64((i*3)%3) - 1 }

var scenes = map[string]func(c canvas, i int){
	"traffic": func(c canvas, i int) {
		x, y := shake(i)
		c.box(0, 0, width, 150, 176, 206, 232)
		for n := range 6 {
			c.box(float64(n*86)+x, 60+float64(n%3)*18, 70, 100, 150, 150, 158)
		}
		c.box(0, 150, width, 120, 84, 86, 92)
		for n := range 7 {
			c.box(float64(n*80)+x, 204+y, 40, 5, 235, 235, 235)
		}
		c.car(120+x, 186+y, 190, 40, 44)
		c.car(206+x, 178+y, 60, 84, 150)
		if i/5%2 == 0 {
			c.disc(122+x, 200+y, 5, 255, 176, 32)
			c.disc(296+x, 192+y, 5, 255, 176, 32)
		}
		c.person(360+x+float64(i)/3, 168+y, 60, 120, 80)
	},
	"flood": func(c canvas, i int) {
		x, y := shake(i)
		c.box(0, 0, width, 141, 128, 140, 152)
		c.box(30+x, 40+y, 120, 110, 168, 150, 132)
		c.box(330+x, 50+y, 110, 100, 150, 158, 150)
		c.box(0, 140+y, width, 140, 118, 98, 70)
		for n := range 9 {
			c.box(float64((n*61+i*6)%width), 156+float64(n*12), 46, 3, 160, 140, 108)
		}
		c.car(190+x, 138+y, 220, 220, 224)
		c.box(170+x, 160+y, 140, 24, 118, 98, 70)
		for n := range 40 {
			c.box(float64((n*37+i*11)%width), float64((n*53+i*23)%height), 2, 9, 205, 214, 224)
		}
	},
	"walker": func(c canvas, i int) {
		x, y := shake(i)
		c.box(0, 0, width, 130, 190, 214, 236)
		c.box(0, 130+y, width, 60, 120, 160, 104)
		c.box(0, 190+y, width, 80, 150, 146, 138)
		for n := range 5 {
			c.box(40+float64(n*100)+x, 78+y, 10, 60, 110, 84, 60)
			c.disc(45+float64(n*100)+x, 66+y, 28, 70, 128, 76)
		}
		c.person(150+float64(i)*1.6+x, 150+y+float64(i%4), 150, 60, 100)
		c.box(300+x, 196+y, 60, 8, 90, 70, 56)
	},
}

func frame(draw func(canvas, int), i int) []byte {
	c := canvas{image.NewRGBA(image.Rect(0, 0, width, height))}
	draw(c, i)
	return c.Pix
}

func ffmpeg(in []byte, args ...string) error {
	c := exec.Command("ffmpeg", append([]string{"-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgba", "-s", fmt.Sprintf("%dx%d", width, height), "-r", fmt.Sprint(rate), "-i", "-"}, args...)...)
	c.Stdin, c.Stderr = bytes.NewReader(in), os.Stderr
	return c.Run()
}

func main() {
	mark := fmt.Sprintf("drawtext=fontfile=%s:text='訓練 DRILL':fontsize=22:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=6:x=12:y=12", os.Args[1])
	for name, draw := range scenes {
		var film []byte
		for i := range frames {
			film = append(film, frame(draw, i)...)
		}
		err := ffmpeg(film, "-vf", mark, "-c:v", "libvpx", "-b:v", "140k", "-g", fmt.Sprint(rate), "-keyint_min", fmt.Sprint(rate), "-pix_fmt", "yuv420p", "-map_metadata", "-1", "-f", "ivf", name+".ivf")
		if err == nil {
			err = ffmpeg(frame(draw, 12), "-vf", "scale=1280:720:flags=neighbor,"+mark, "-frames:v", "1", "-q:v", "6", "-map_metadata", "-1", name+".jpg")
		}
		if err != nil {
			slog.Error("draw", "scene", name, "error", err)
			os.Exit(1)
		}
	}
}
